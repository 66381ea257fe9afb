package zone

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Apply stages the changes, reads them back, publishes them and waits until all servers answer them. Edits that others have staged and not
// published are ErrUnpublished: a refresh would publish them too. So is nothing published when the stage, read back, isn't exactly the
// zone as it was with these changes. A publication that shows no effect is repeated, since failed ones have been silent.
func (z *OVH) Apply(ctx context.Context, changes Changes, tell Tell) error {
	if err := changes.Check(z.Origin(), z.MinTTL()); err != nil {
		return fmt.Errorf("zone %s: %w", z.name, err)
	}
	hosts, err := z.Nameservers(ctx)
	if err != nil {
		return err
	}
	before, err := z.Sets(ctx)
	if err != nil {
		return err
	}
	others := without(before, changes)
	tell(fmt.Sprintf("zone %s: comparing %d record sets with what the name servers answer", z.name, len(others)), 0, 0)
	diffs, err := z.servers.Differences(ctx, hosts, others)
	if err != nil {
		return fmt.Errorf("zone %s: %w", z.name, err)
	}
	if len(diffs) > 0 {
		return fmt.Errorf("zone %s: %w: %s", z.name, ErrUnpublished, strings.Join(diffs, "; "))
	}
	if err := z.stage(ctx, changes, others, tell); err != nil {
		return err
	}
	publish := func() error { return z.refresh(ctx, tell) }
	if err := publish(); err != nil {
		return err
	}
	var want []Set
	for _, c := range changes {
		want = append(want, c.After)
	}
	if err := z.servers.serve(ctx, hosts, want, z.pace, publish, tell); err != nil {
		return fmt.Errorf("zone %s: %w", z.name, err)
	}
	return nil
}

// without is what a change set doesn't touch.
func without(sets []Set, changes Changes) []Set {
	return slices.DeleteFunc(slices.Clone(sets), func(s Set) bool {
		return slices.ContainsFunc(changes, func(c Change) bool { return c.Name == s.Name && c.Type == s.Type })
	})
}

// stage makes the edits until the stage reads as wanted. After an answer that was lost the stage is read again, so that nothing is made
// twice. A stage that was written without an error and reads otherwise is ErrChanged: OVH has stored something else than it was told.
func (z *OVH) stage(ctx context.Context, changes Changes, others []Set, tell Tell) error {
	const mostLost = 10
	written := false
	for lost := 0; ; {
		recs, err := z.records(ctx)
		if err != nil {
			return err
		}
		now, err := z.sets(recs)
		if err != nil {
			return err
		}
		if rest := without(now, changes); !slices.EqualFunc(rest, others, Set.Equal) {
			return fmt.Errorf("zone %s: somebody else edits it at this moment: %w; the staged edits of this run are not published", z.name, ErrChanged)
		}
		edits, err := z.edits(recs, now, changes)
		if err != nil {
			return err
		}
		if len(edits) == 0 {
			return nil
		}
		if written {
			return fmt.Errorf("zone %s: the stage reads back otherwise than it was written; still to do: %s: %w", z.name, edits[0], ErrChanged)
		}
		if err := z.write(ctx, edits, tell); err != nil {
			if lost++; !passing(err) || ctx.Err() != nil || lost == mostLost {
				return err
			}
			continue
		}
		written = true
	}
}

func (z *OVH) write(ctx context.Context, edits []edit, tell Tell) error {
	for i, e := range edits {
		tell(fmt.Sprintf("zone %s: staging %s", z.name, e), int64(i), int64(len(edits)))
		if err := z.call(ctx, e.method, e.path, e.body, nil); err != nil {
			return fmt.Errorf("stage %s: %w", e, err)
		}
	}
	return nil
}

// edit is one request on the stage.
type edit struct {
	method, path string
	body         *ovhRecord
	about        string
}

func (e edit) String() string { return e.method + " " + e.about }

// edits are the requests that take the stage from what it holds to what is wanted: deletions first, since a CNAME stands beside nothing,
// then changes of records in place (their ids stay), then new ones. What is there must be of the before-image or of the after-image;
// anything else is ErrChanged.
func (z *OVH) edits(recs []ovhRecord, now []Set, changes Changes) ([]edit, error) {
	var dels, puts, posts []edit
	for _, c := range changes {
		if !c.Before.Absent() && !c.After.Absent() && Find(now, c.Name, c.Type).Absent() {
			return nil, fmt.Errorf("zone %s: %s %s is gone, neither %s nor %s: %w", z.name, c.Name, c.Type, c.Before.Data(), c.After.Data(), ErrChanged)
		}
		var spare []ovhRecord // records to be changed or deleted
		missing := slices.Clone(c.After.Values)
		for _, r := range recs {
			name, v, err := z.value(r)
			if r.FieldType != c.Type || err != nil || name != c.Name {
				continue
			}
			if err := known(r, v, c); err != nil {
				return nil, fmt.Errorf("zone %s: %w", z.name, err)
			}
			if i := slices.Index(missing, v); i >= 0 && r.TTL == c.After.TTL {
				missing = slices.Delete(missing, i, i+1)
			} else {
				spare = append(spare, r)
			}
		}
		for _, v := range missing {
			want := &ovhRecord{SubDomain: z.relative(c.Name), Target: v, TTL: c.After.TTL}
			about := fmt.Sprintf("%s %d %s %s", c.Name, c.After.TTL, c.Type, v)
			if len(spare) > 0 {
				puts = append(puts, edit{http.MethodPut, z.path("record", strconv.FormatInt(spare[0].ID, 10)), want, about})
				spare = spare[1:]
				continue
			}
			want.FieldType = c.Type
			posts = append(posts, edit{http.MethodPost, z.path("record"), want, about})
		}
		for _, r := range spare {
			dels = append(dels, edit{http.MethodDelete, z.path("record", strconv.FormatInt(r.ID, 10)), nil, fmt.Sprintf("%s %s %s", c.Name, c.Type, r.Target)})
		}
	}
	return append(append(dels, puts...), posts...), nil
}

// known refuses a record that neither the plan found nor the plan makes, and a set that is gone though it should only change.
func known(r ovhRecord, value string, c Change) error {
	is := func(s Set) bool { return s.TTL == r.TTL && slices.Contains(s.Values, value) }
	if is(c.Before) || is(c.After) {
		return nil
	}
	return fmt.Errorf("%s %s has a record %d %s, which is neither of %s nor of %s: %w", c.Name, c.Type, r.TTL, value, c.Before.Data(), c.After.Data(), ErrChanged)
}

func (z *OVH) relative(name string) string {
	if name == z.Origin() {
		return ""
	}
	return strings.TrimSuffix(name, "."+z.Origin())
}

// refresh publishes the stage. OVH does one refresh at a time and refuses the second; it is asked again for a minute.
func (z *OVH) refresh(ctx context.Context, tell Tell) error {
	began := time.Now()
	for pause := z.pace.first; ; pause = min(pause*3/2, z.pace.most) {
		tell(fmt.Sprintf("zone %s: publishing (refresh), %d s", z.name, int(time.Since(began).Seconds())), 0, 0)
		err := z.call(ctx, http.MethodPost, z.path("refresh"), nil, nil)
		if err == nil {
			return nil
		}
		if !(passing(err) || conflict(err)) || ctx.Err() != nil || time.Since(began) > 2*z.pace.republish {
			return fmt.Errorf("zone %s: the changes are staged and not published: %w", z.name, err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}
