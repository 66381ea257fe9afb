package follow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// The names of the streams, on the servers that follow.
const (
	ForwardStream = "forward" // from the MariaDB to the MySQL
	ReverseStream = "reverse" // back; it has what it began at in its name too
)

// Link is one direction between two servers, for whoever runs it as a service: forward, from the MariaDB to the MySQL, or
// back.
type Link struct {
	from    changes.Source
	to      dbcopy.Endpoint
	schemas []string
	reverse bool
	workers int
}

// NewForward dials nothing. workers are transactions that are applied at once; 0: 4.
func NewForward(maria, my dbcopy.Endpoint, schemas []string, workers int) Link {
	return Link{from: changes.Source{Endpoint: maria, Flavor: value.MariaDB}, to: my, schemas: schemas, workers: workers}
}

// NewReverse dials nothing. schemas are those of the way there, and any that only the way back has.
func NewReverse(maria, my dbcopy.Endpoint, schemas []string, workers int) Link {
	return Link{from: changes.Source{Endpoint: my, Flavor: value.MySQL}, to: maria, schemas: schemas, reverse: true, workers: workers}
}

// String is for people.
func (l Link) String() string { return "from " + l.from.Endpoint.Name + " to " + l.to.Name }

// stream is the name. Each way back is a stream of its own: between two of them definitions may have changed at the source
// of its log, which is no longer read there.
func (l Link) stream(begin *changes.Position) string {
	if begin == nil {
		return ForwardStream
	}
	sum := sha256.Sum256([]byte(Print(*begin)))
	return ReverseStream + "-" + hex.EncodeToString(sum[:6])
}

// Tip is where the log that is followed ends now.
func (l Link) Tip(ctx context.Context) (changes.Position, error) { return changes.Tip(ctx, l.from) }

// Applied is how far the stream that began at a position has been applied; ErrNoStream when it hasn't begun. For the way there
// begin is nil.
func (l Link) Applied(ctx context.Context, begin *changes.Position) (changes.Position, error) {
	return Applied(ctx, l.to, l.stream(begin))
}

// meterEvery is how often the lag is measured.
const meterEvery = time.Second

// Follow follows until ctx ends or until yields a position, to which it applies exactly; then it returns nil. begin is where a
// stream begins that the target doesn't have; nil: where its copy stands. applied is told how far it is and how far behind, at
// most once a second; while the source of the log can't be asked, the lag grows.
func (l Link) Follow(ctx context.Context, begin *changes.Position, until <-chan changes.Position, applied func(at changes.Position, lag time.Duration), tell func(string)) error {
	tables, err := l.tables(ctx)
	if err != nil {
		return err
	}
	o := Options{Stream: l.stream(begin), Schemas: l.schemas, Workers: l.workers, Tables: tables, CascadesLogged: l.reverse, Skip: CameBack, Tell: tell}
	// A stream that is there goes on from where it is.
	if _, err := Read(ctx, l.to, o.Stream); errors.Is(err, ErrNoStream) {
		o.From = begin
	} else if err != nil {
		return err
	}
	f, err := Open(ctx, l.to, o)
	if err != nil {
		return err
	}
	defer f.Close()
	log := ServerLog{l.from, changes.Options{Tell: tell}}
	if log.Options.Tables, err = f.Tables(ctx); err != nil {
		return err
	}
	meter, err := OpenMeter(l.from)
	if err != nil {
		return err
	}
	defer meter.Close()
	watch, quiet := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.meter(watch, f, meter, applied)
	}()
	var end changes.Position
	to := make(chan changes.Position, 1)
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case end = <-until:
			to <- end
		case <-watch.Done():
		}
	}()
	err = f.Run(ctx, log, to)
	quiet()
	<-watched
	<-told
	if err == nil {
		applied(end, 0)
	}
	return err
}

// meter tells how far it is and how far behind. Nothing is told before that is known.
func (l Link) meter(ctx context.Context, f *Follower, m *Meter, applied func(changes.Position, time.Duration)) {
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	var last time.Duration
	var asked time.Time
	for {
		at := f.Passed()
		lag, err := m.Lag(ctx, at, f.State().Committed)
		switch {
		case err == nil && lag.Known:
			last, asked = lag.Time, time.Now()
			applied(at, lag.Time)
		case !asked.IsZero() && ctx.Err() == nil:
			applied(at, last+time.Since(asked))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tables are the definitions that a new stream records. Both servers' logs are read by the MariaDB's: the copy's rewrites change
// none of what the log reader needs of them.
func (l Link) tables(ctx context.Context) ([]changes.Table, error) {
	if l.reverse {
		return Tables(ctx, l.to, l.schemas)
	}
	return Tables(ctx, l.from.Endpoint, l.schemas)
}
