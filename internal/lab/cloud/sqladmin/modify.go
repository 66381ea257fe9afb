package sqladmin

import (
	"context"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

func (a *API) patch(c rest.Call) (rest.Answer, error)  { return a.modify(c, false) }
func (a *API) update(c rest.Call) (rest.Answer, error) { return a.modify(c, true) }

// modify serves patch and update. Update replaces the settings whole: what is
// not sent goes back to its default.
func (a *API) modify(c rest.Call, replace bool) (rest.Answer, error) {
	var body api.DatabaseInstance
	sent, e := rest.Decode(c.Body, &body)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkFields(sent); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.idle(c)
	if e != nil {
		return rest.Answer{}, e
	}
	next, version, e := a.modified(in.message, &body, sent, replace)
	if e != nil {
		return rest.Answer{}, e
	}
	op := a.begin(c, next.Name, "UPDATE", in, func(ctx context.Context) error {
		return in.server.Apply(ctx, config(next))
	}, func(err error) {
		if err == nil {
			identify(next, in.server.Identity(), version)
			in.message = next
		}
	})
	return rest.OK(op)
}

func (a *API) modified(now, body *api.DatabaseInstance, sent rest.Object, replace bool) (*api.DatabaseInstance, Version, *rest.Error) {
	for _, fixed := range []struct{ name, was, is string }{
		{"name", now.Name, body.Name}, {"project", now.Project, body.Project}, {"region", now.Region, body.Region},
	} {
		if fixed.is != "" && fixed.is != fixed.was {
			return nil, Version{}, invalid("The %s of an instance cannot be changed", fixed.name)
		}
	}
	if sent.Has("settings", "settingsVersion") && body.Settings.SettingsVersion != now.Settings.SettingsVersion {
		return nil, Version{}, staleData()
	}
	if sent.Has("rootPassword") {
		return nil, Version{}, rest.NotServed("rootPassword in an update (users.update is served)")
	}
	versionName := now.DatabaseVersion
	if body.DatabaseVersion != "" {
		versionName = body.DatabaseVersion
	}
	version, e := a.version(versionName)
	if e != nil {
		return nil, Version{}, e
	}
	next := *now
	next.DatabaseVersion = version.Name
	next.Settings = &api.Settings{}
	if replace {
		if body.Settings != nil {
			next.Settings = body.Settings
		}
	} else {
		patch := rest.Object{}
		if s, ok := sent["settings"].(map[string]any); ok {
			patch = s
		}
		if e := rest.Merge(shownSettings(now.Settings), patch, next.Settings); e != nil {
			return nil, Version{}, e
		}
	}
	changedVersion := version.Name != now.DatabaseVersion
	if replace || changedVersion {
		keep := sent
		if !replace {
			keep = allSent()
		}
		fillDefaults(next.Settings, keep, version, now.GceZone)
	}
	if replace || sent.Has("settings", "edition") {
		if e := checkTier(next.Settings.Tier, next.Settings.Edition); e != nil {
			return nil, Version{}, e
		}
	}
	if next.Settings.DataDiskSizeGb < now.Settings.DataDiskSizeGb {
		return nil, Version{}, invalid("The disk size of an instance cannot be decreased")
	}
	if e := validate(next.Settings, version); e != nil {
		return nil, Version{}, e
	}
	derive(next.Settings)
	next.Settings.SettingsVersion = now.Settings.SettingsVersion + 1
	return &next, version, nil
}

// allSent stands for a request that sent every field that has a default.
func allSent() rest.Object {
	return rest.Object{"settings": map[string]any{
		"backupConfiguration": map[string]any{"enabled": true, "binaryLogEnabled": true},
		"ipConfiguration":     map[string]any{"ipv4Enabled": true},
	}}
}
