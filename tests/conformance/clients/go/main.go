// What does a service written in Go see? One client object for its life, and a line of JSON for each line it is sent.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type answer struct {
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Said    string  `json:"said,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func main() {
	var client *sts.Client
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "fresh" {
			client = nil
		}
		begun := time.Now()
		arn, err := call(&client)
		given := answer{OK: err == nil, Seconds: time.Since(begun).Seconds(), Said: arn}
		if err != nil {
			given.Error = words(err)
		}
		if err := answers.Encode(given); err != nil {
			os.Exit(1)
		}
	}
}

// call makes one signed request, with the client that is there already, if one is.
func call(kept **sts.Client) (string, error) {
	ctx := context.Background()
	if *kept == nil {
		settings, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return "", err
		}
		*kept = sts.NewFromConfig(settings)
	}
	identity, err := (*kept).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(identity.Arn), nil
}

// words gives the type of the innermost error, since the outer ones are always the same, and what it all says.
func words(err error) string {
	inner := err
	for errors.Unwrap(inner) != nil {
		inner = errors.Unwrap(inner)
	}
	message := []rune(strings.Join(strings.Fields(err.Error()), " "))
	return fmt.Sprintf("%T: %s", inner, string(message[:min(len(message), 200)]))
}
