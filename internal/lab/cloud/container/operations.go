package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/container/v1"
)

// operation is one operation; its message is replaced under API.mu, never changed.
type operation struct {
	location string
	message  *api.Operation
}

// begin registers an operation, RUNNING as in the recorded answers, and starts
// its work. finish runs under a.mu in the same moment as DONE. a.mu must be held.
func (a *API) begin(k *cluster, kind string, work func(context.Context, func(Stage)) error, finish func(error)) (*api.Operation, *rest.Error) {
	if k.running != nil {
		return nil, incompatible(k.running.message.Name)
	}
	location, target := k.message.Location, k.message.Name
	now := a.o.Now()
	name := fmt.Sprintf("operation-%d-%s", now.UnixMilli(), uuid())
	op := &operation{location: location, message: &api.Operation{
		Name: name, OperationType: kind, Status: "RUNNING", StartTime: stamp(now), Zone: location,
		SelfLink: a.numbered(location, "operations", name), TargetLink: a.numbered(location, "clusters", target),
	}}
	a.ops = append(a.ops, op)
	k.running = op
	first := op.message
	a.work.Go(func(ctx context.Context) {
		err := work(ctx, func(s Stage) { a.progress(op, s) })
		if err != nil {
			a.o.Log.Warn("operation failed", "operation", kind, "cluster", target, "error", err.Error())
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		k.running = nil
		finish(err)
		done := *op.message
		done.Status, done.EndTime = "DONE", stamp(a.o.Now())
		if err != nil {
			done.StatusMessage = err.Error()
			done.Error = &api.Status{Code: 13, Message: err.Error()} // google.rpc.Code INTERNAL
		}
		op.message = &done
	})
	return first, nil
}

// progress sets a stage's two metrics.
func (a *API) progress(op *operation, s Stage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := *op.message
	var old []*api.Metric
	if next.Progress != nil {
		old = next.Progress.Metrics
	}
	done := &api.Metric{Name: s.Name, IntValue: int64(s.Done)}
	if s.Done == 0 {
		done.ForceSendFields = []string{"IntValue"}
	}
	total := &api.Metric{Name: s.Name + "_TOTAL", IntValue: int64(s.Total)}
	metrics := make([]*api.Metric, 0, len(old)+2)
	replaced := false
	for i := 0; i < len(old); i += 2 {
		if old[i].Name == s.Name {
			metrics = append(metrics, done, total)
			replaced = true
			continue
		}
		metrics = append(metrics, old[i], old[i+1])
	}
	if !replaced {
		metrics = append(metrics, done, total)
	}
	next.Progress = &api.OperationProgress{Metrics: metrics}
	op.message = &next
}

func (a *API) getOperation(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c, "container.operations.get"); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	location, name := c.PathValue("location"), c.PathValue("operation")
	for _, op := range a.ops {
		if op.location == location && op.message.Name == name {
			return rest.OK(op.message)
		}
	}
	return rest.Answer{}, notFound("projects/" + a.o.Project + "/" + kind(location) + "/" + location + "/operations/" + name)
}

func (a *API) listOperations(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c, "container.operations.list"); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list := &api.ListOperationsResponse{}
	for _, op := range a.ops {
		if at := c.PathValue("location"); at == "-" || at == op.location {
			list.Operations = append(list.Operations, op.message)
		}
	}
	return rest.OK(list)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

func uuid() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func randomHex(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand.Read never fails since Go 1.24
	}
	return hex.EncodeToString(b)
}
