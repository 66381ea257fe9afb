package sqladmin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// operation is one admin operation; its message is replaced under API.mu and
// never changed, so that an answer may hold on to it.
type operation struct {
	message *api.Operation
}

// begin registers an operation on an instance and starts its work: PENDING now,
// RUNNING after Options.Pending, DONE when work has returned. None may be under
// way: the caller has looked (idle). finish runs under a.mu in the same moment as DONE, so that
// who sees DONE sees its effect. a.mu must be held.
func (a *API) begin(c rest.Call, name, kind string, in *instance, work func(context.Context) error, finish func(error)) *api.Operation {
	id := uuid()
	op := &operation{message: &api.Operation{
		Kind: "sql#operation", Name: id, OperationType: kind, Status: "PENDING",
		InsertTime: stamp(a.o.Now()), User: c.Principal.Email,
		TargetId: name, TargetLink: a.link("instances", name), TargetProject: a.o.Project,
		SelfLink: a.link("operations", id),
	}}
	a.ops = append(a.ops, op)
	in.running = op
	first := op.message
	a.work.Go(func(ctx context.Context) { a.run(ctx, op, in, work, finish) })
	return first
}

func (a *API) run(ctx context.Context, op *operation, in *instance, work func(context.Context) error, finish func(error)) {
	var err error
	select {
	case <-time.After(a.o.Pending):
		a.change(op, func(m *api.Operation) { m.Status, m.StartTime = "RUNNING", stamp(a.o.Now()) })
		err = work(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		a.o.Log.Warn("operation failed", "operation", op.message.OperationType, "instance", op.message.TargetId, "error", err.Error())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	in.running = nil
	finish(err)
	done := *op.message
	done.Status, done.EndTime = "DONE", stamp(a.o.Now())
	if done.StartTime == "" {
		done.StartTime = done.EndTime
	}
	if err != nil {
		done.Error = &api.OperationErrors{Kind: "sql#operationErrors", Errors: []*api.OperationError{operationError(err)}}
	}
	op.message = &done
}

func operationError(err error) *api.OperationError {
	e := &api.OperationError{Kind: "sql#operationError", Code: "INTERNAL_ERROR", Message: err.Error()}
	switch {
	case errors.Is(err, ErrExists):
		e.Code = "ERROR_ALREADY_EXISTS"
	case errors.Is(err, ErrNotFound):
		e.Code = "ERROR_NOT_FOUND"
	case errors.Is(err, ErrInvalid):
		e.Code = "INVALID_ARGUMENT"
	}
	return e
}

func (a *API) change(op *operation, edit func(*api.Operation)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := *op.message
	edit(&next)
	op.message = &next
}

func (a *API) getOperation(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.ops {
		if op.message.Name == c.PathValue("operation") {
			return rest.OK(op.message)
		}
	}
	return rest.Answer{}, &rest.Error{Code: 404, Reason: "operationDoesNotExist", Message: "The Cloud SQL instance operation does not exist."}
}

// listOperations answers newest first, as the API does.
func (a *API) listOperations(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	if c.Query.Get("filter") != "" {
		return rest.Answer{}, rest.NotServed("sql.operations.list with a filter")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	list := &api.OperationsListResponse{Kind: "sql#operationsList"}
	name := c.Query.Get("instance")
	for i := len(a.ops) - 1; i >= 0; i-- {
		if m := a.ops[i].message; name == "" || m.TargetId == name {
			list.Items = append(list.Items, m)
		}
	}
	from, to, next, e := page(c, len(list.Items))
	if e != nil {
		return rest.Answer{}, e
	}
	list.Items, list.NextPageToken = list.Items[from:to], next
	return rest.OK(list)
}

// page cuts a list of n by maxResults and pageToken. A token is the index that
// the next page begins at.
func page(c rest.Call, n int) (from, to int, next string, e *rest.Error) {
	to = n
	if token := c.Query.Get("pageToken"); token != "" {
		at, err := strconv.Atoi(token)
		if err != nil || at < 0 || at > n {
			return 0, 0, "", invalid("Invalid page token")
		}
		from = at
	}
	if text := c.Query.Get("maxResults"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most < 0 {
			return 0, 0, "", invalid("Invalid maxResults")
		}
		if most > 0 && from+most < n {
			to = from + most
			next = fmt.Sprint(to)
		}
	}
	return from, to, next, nil
}
