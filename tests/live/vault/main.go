// Command vault-for-tests is HashiCorp Vault with its storage in memory and no more engines than the tests speak to.
//
// It is Vault's own core behind Vault's own HTTP handler: Transit, AppRole and JWT logins, policies, quotas, sealing.
// Left out is what the real command adds at a great cost in time to build: storage on clouds, databases, plugins.
//
// It prints its address, one line, and serves until its standard input ends. It comes up uninitialised: sys/init and
// sys/unseal are for the tests to call.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// builtins says of an engine whether it is compiled in; Vault asks before it mounts one.
type builtins map[string]consts.PluginType

func (known builtins) Contains(name string, kind consts.PluginType) bool { return known[name] == kind }

func (known builtins) Get(string, consts.PluginType) (func() (interface{}, error), bool) {
	return nil, false
}

func (known builtins) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range known {
		if known[name] == kind {
			names = append(names, name)
		}
	}
	return names
}

func (known builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, known.Contains(name, kind)
}

func (known builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func run() error {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := "http://" + listener.Addr().String()
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory, "jwt": jwtauth.Factory},
		BuiltinRegistry: builtins{
			"transit": consts.PluginTypeSecrets, "approle": consts.PluginTypeCredential, "jwt": consts.PluginTypeCredential,
		},
		DisableMlock: true,
		Logger:       logger,
		RedirectAddr: address,
	})
	if err != nil {
		return err
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{Address: listener.Addr().String()},
	})
	served := make(chan error, 1)
	go func() { served <- (&http.Server{Handler: handler}).Serve(listener) }()
	fmt.Println(address)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		served <- err
	}()
	if err := <-served; err != nil {
		return err
	}
	return core.Shutdown()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
