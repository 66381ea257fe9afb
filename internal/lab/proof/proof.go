// Package proof shows what changed on the source between two moments: files on the hosts, statements at MariaDB, records in the zones, logins and
// commands. It tells the hosts' own ordinary life (by rules, see rules.go) from everything else, and reports as a finding whatever Slipway's accounts
// changed, and whatever changed that no rule explains.
//
// It looks from outside the hosts: at their writable layers, at the servers' general log, at the name servers by zone transfer, at the journals. It imports fleet, machine,
// progress and verb of the lab.
package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// Zones tells what the name servers serve: all records of a zone, one a string, in any order.
type Zones interface {
	Records(ctx context.Context, zone string) ([]string, error)
}

// Source is what is looked at.
type Source struct {
	Fleet *fleet.Fleet
	Zones Zones // nil where no zones are named below
	// Untouched are zones that must stay as they are, Restored those that must be as they were but for the serial number.
	Untouched, Restored []string
}

// Proof is one that was begun.
type Proof struct {
	source Source
	began  time.Time

	trees []tree // in the order of fleet.Hosts
	zones [][]string
}

// Begin notes how everything is. MariaDB's servers begin to write their general log.
func Begin(ctx context.Context, s Source, report progress.Func) (*Proof, error) {
	task := progress.Begin(report, "look at the source")
	p := &Proof{source: s, began: time.Now()}
	var err error
	if p.zones, err = p.transfer(ctx); err != nil {
		return nil, err
	}
	if err := p.eachDatabase(ctx, startLog); err != nil {
		return nil, err
	}
	// The files last: what the lines above changed is in the picture already.
	if p.trees, err = p.look(ctx); err != nil {
		return nil, errors.Join(err, p.eachDatabase(context.WithoutCancel(ctx), stopLog))
	}
	task.End()
	return p, nil
}

// End compares. The general logs are switched off again. A proof ends once.
func (p *Proof) End(ctx context.Context, report progress.Func) (verb.Proof, error) {
	task := progress.Begin(report, "look at the source again")
	out := verb.Proof{Findings: []verb.Finding{}, Commands: []string{}, Zones: []string{}}
	// The files first, for the same reason.
	after, err := p.look(ctx)
	if err != nil {
		return out, err
	}
	for i, h := range fleet.Hosts() {
		changes, err := compare(p.trees[i], after[i])
		if err != nil {
			return out, fmt.Errorf("compare %s: %w", h.Name, err)
		}
		found, ordinary := sortOut(h, changes)
		out.Findings = append(out.Findings, found...)
		out.Ordinary += ordinary
		out.Files += len(after[i].files)
	}
	for _, look := range []func(context.Context, *verb.Proof) error{p.remains, p.journals, p.statements, p.records} {
		if err := look(ctx, &out); err != nil {
			return out, err
		}
	}
	task.End()
	return out, nil
}

// look reads the writable layers of all hosts.
func (p *Proof) look(ctx context.Context) ([]tree, error) {
	trees := make([]tree, len(fleet.Hosts()))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, h := range fleet.Hosts() {
		group.Go(func() error {
			m, err := p.source.Fleet.Machine(h.Name)
			if err != nil {
				return fmt.Errorf("%w: start it before the proof", err)
			}
			trees[i], err = readTree(gctx, m)
			if err != nil {
				return fmt.Errorf("look at %s: %w", h.Name, err)
			}
			return nil
		})
	}
	return trees, group.Wait()
}

// transfer reads all zones, each sorted.
func (p *Proof) transfer(ctx context.Context) ([][]string, error) {
	var out [][]string
	for _, zone := range p.allZones() {
		records, err := p.source.Zones.Records(ctx, zone)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", zone, err)
		}
		slices.Sort(records)
		out = append(out, records)
	}
	return out, nil
}

func (p *Proof) allZones() []string { return slices.Concat(p.source.Untouched, p.source.Restored) }

// records compares the zones.
func (p *Proof) records(ctx context.Context, out *verb.Proof) error {
	after, err := p.transfer(ctx)
	if err != nil {
		return err
	}
	for i, zone := range p.allZones() {
		before, now := p.zones[i], after[i]
		if slices.Contains(p.source.Restored, zone) {
			before, now = withoutSOA(before), withoutSOA(now)
		}
		for _, r := range missing(before, now) {
			out.Findings = append(out.Findings, verb.Finding{Where: "zone " + zone, What: "gone: " + r})
		}
		for _, r := range missing(now, before) {
			out.Findings = append(out.Findings, verb.Finding{Where: "zone " + zone, What: "new: " + r})
		}
		out.Zones = append(out.Zones, zone)
	}
	return nil
}

// missing are those of a that are not in b.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func withoutSOA(records []string) []string {
	return slices.DeleteFunc(slices.Clone(records), func(r string) bool { return slices.Contains(strings.Fields(r), "SOA") })
}
