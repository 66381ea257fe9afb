package labtest

import (
	"fmt"
	"strings"
)

// wholeVolume reads `gluster volume heal VOLUME info`: per brick its state and the number of files that wait to be healed.
func wholeVolume(out string) error {
	bricks := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if status, ok := strings.CutPrefix(line, "Status: "); ok {
			bricks++
			if status != "Connected" {
				return fmt.Errorf("a brick is not connected: %s", status)
			}
		}
		if entries, ok := strings.CutPrefix(line, "Number of entries: "); ok && entries != "0" {
			return fmt.Errorf("files wait to be healed: %s", entries)
		}
	}
	if bricks != 3 {
		return fmt.Errorf("%d bricks answer instead of 3", bricks)
	}
	return nil
}
