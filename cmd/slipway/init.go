package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/inventory"
)

func newInit(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "write a commented slipway.yaml, and an inventory.yaml beside it; replaces nothing",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			files := []struct{ path, text string }{
				{p.configFile, config.Example},
				{filepath.Join(filepath.Dir(p.configFile), "inventory.yaml"), inventory.Example},
			}
			written := []string{}
			for _, f := range files {
				if err := create(f.path, f.text); err != nil {
					return err
				}
				written = append(written, f.path)
			}
			v := struct {
				Written []string `json:"written"`
			}{written}
			return p.print(v, func(w io.Writer) error {
				for _, f := range written {
					fmt.Fprintf(w, "wrote %s\n", f)
				}
				_, err := fmt.Fprintln(w, "edit both; then type: slipway plan")
				return err
			})
		},
	}
}

// create writes a new file, whole or not at all; one that is there already is left alone.
func create(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return hint(&configError{fmt.Errorf("%s is there already, and is left as it is", path)}, "to write another: slipway init --config FILE")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(path)))
		}
	}()
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}
