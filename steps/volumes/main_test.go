package volumes_test

import (
	"os"
	"testing"
)

var dirs []string

func newDir() (string, error) {
	d, err := os.MkdirTemp("", "volumes-test-")
	dirs = append(dirs, d)
	return d, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, d := range dirs {
		if err := os.RemoveAll(d); err != nil {
			code = 1
		}
	}
	os.Exit(code)
}
