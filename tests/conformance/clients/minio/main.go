// What does a service see that speaks to S3 with minio-go, as restic does? One client object for its life, and a line of
// JSON for each line it is sent.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

type answer struct {
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Said    string  `json:"said,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: minio BUCKET KEY")
		os.Exit(2)
	}
	var client *minio.Client
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "fresh" {
			client = nil
		}
		begun := time.Now()
		body, err := call(&client, os.Args[1], os.Args[2])
		given := answer{OK: err == nil, Seconds: time.Since(begun).Seconds(), Said: body}
		if err != nil {
			message := []rune(strings.Join(strings.Fields(err.Error()), " "))
			given.Error = fmt.Sprintf("%T: %s", err, string(message[:min(len(message), 200)]))
		}
		if err := answers.Encode(given); err != nil {
			os.Exit(1)
		}
	}
}

// call reads one object, with the client that is there already, if one is.
func call(kept **minio.Client, bucket, key string) (string, error) {
	if *kept == nil {
		client, err := connect()
		if err != nil {
			return "", err
		}
		*kept = client
	}
	object, err := (*kept).GetObject(context.Background(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer object.Close()
	body, err := io.ReadAll(object)
	return string(body), err
}

// connect makes a client with what the library has for programs that are given a role: it has no chain by default.
func connect() (*minio.Client, error) {
	endpoint, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL"))
	if err != nil {
		return nil, err
	}
	return minio.New(endpoint.Host, &minio.Options{
		Creds:        credentials.NewIAM(""),
		Secure:       endpoint.Scheme == "https",
		Region:       os.Getenv("AWS_REGION"),
		BucketLookup: minio.BucketLookupPath,
	})
}
