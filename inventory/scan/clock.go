package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
)

// clockAsks is how often a host is asked for its time; the fastest answer counts, as in NTP's clock filter (RFC 5905, 10).
const clockAsks = 5

// askClock measures how far a host's clock is ahead of this machine's.
func askClock(ctx context.Context, l remote.Looker, host string) (Clock, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := l.Stream(ctx, host, remote.Clock(), inR, outW)
		_ = outW.CloseWithError(cmpErr(err, io.EOF)) // CloseWithError never fails
		_ = inR.CloseWithError(cmpErr(err, io.ErrClosedPipe))
		ended <- err
	}()
	best := Clock{Uncertainty: 1<<63 - 1}
	answers := bufio.NewReader(outR)
	err := func() error {
		for range clockAsks {
			sent := time.Now()
			if _, err := io.WriteString(inW, "\n"); err != nil {
				return err
			}
			line, err := answers.ReadString('\n')
			if err != nil {
				return err
			}
			back := time.Now()
			theirs, err := parseTime(line)
			if err != nil {
				return fmt.Errorf("%s: clock: %w", host, err)
			}
			trip := back.Sub(sent) // monotonic
			if u := trip / 2; u < best.Uncertainty {
				best = Clock{Offset: theirs.Sub(sent.Add(u).Round(0)), Uncertainty: u}
			}
		}
		return nil
	}()
	if err != nil {
		cancel()
	}
	_ = inW.Close() // an io.Pipe's Close never fails
	if streamErr := <-ended; streamErr != nil && !(err != nil && errors.Is(streamErr, context.Canceled)) {
		return Clock{}, streamErr
	}
	return best, err
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// parseTime reads date +%s.%N.
func parseTime(line string) (time.Time, error) {
	s, n, ok := strings.Cut(strings.TrimSpace(line), ".")
	sec, err1 := strconv.ParseInt(s, 10, 64)
	nsec, err2 := strconv.ParseInt(n, 10, 64)
	if !ok || err1 != nil || err2 != nil || len(n) != 9 || nsec < 0 || sec < 0 || sec > 1<<40 {
		return time.Time{}, fmt.Errorf("%q is not a time", remote.Printable(line, 60))
	}
	return time.Unix(sec, nsec), nil
}
