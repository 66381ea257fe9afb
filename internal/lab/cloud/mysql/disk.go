package mysql

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
)

// copyTree copies a file, or a directory, with owners and modes; to must not
// exist. What is zero takes no room.
func copyTree(ctx context.Context, from, to string) error {
	return tool(ctx, "cp", "-a", "--sparse=always", "--", from, to)
}

// makeImage makes an ext4 file system of the given size in a file, with the
// content of a directory in it. The file is sparse: it takes the room that its
// content takes.
func makeImage(ctx context.Context, file string, size int64, content string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the data disk: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return fmt.Errorf("make the data disk: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the data disk: %w", err)
	}
	// Nothing is kept back for root, and the inode tables are not written out.
	return tool(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-d", content, file)
}

// tool runs a program of this computer.
func tool(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
