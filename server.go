// Portfolio serves portfolios over GraphQL, and over one REST endpoint of the
// legacy system that it replaces.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // for systems without certificates, such as containers

	"portfolio/internal/cli"
)

//go:generate go tool gqlgen generate

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Output{Stdout: os.Stdout, Stderr: os.Stderr}))
}
