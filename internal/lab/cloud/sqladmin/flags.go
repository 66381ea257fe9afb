package sqladmin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// validateFlags holds a list of database flags against what flags.list says of
// the version: name, type and range.
func validateFlags(list []*api.DatabaseFlags, v Version) *rest.Error {
	seen := make(map[string]bool, len(list))
	for _, set := range list {
		known := flagOf(v, set.Name)
		if known == nil {
			return &rest.Error{Code: 400, Reason: "invalidFlagName", Message: "The flag requested is not supported: " + set.Name + "."}
		}
		if seen[set.Name] {
			return invalid("Flag %s is set more than once", set.Name)
		}
		seen[set.Name] = true
		if !flagValueFits(known, set.Value) {
			return &rest.Error{Code: 400, Reason: "invalidFlagValue", Message: "The value requested for flag " + set.Name + " is not valid: " + set.Value + "."}
		}
	}
	return nil
}

func flagOf(v Version, name string) *api.Flag {
	for _, f := range v.Flags {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func flagValueFits(f *api.Flag, value string) bool {
	switch f.Type {
	case "BOOLEAN":
		return value == "on" || value == "off"
	case "INTEGER":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		if len(f.AllowedIntValues) > 0 {
			return slices.Contains(f.AllowedIntValues, n)
		}
		return n >= f.MinValue && n <= f.MaxValue
	case "STRING":
		return len(f.AllowedStringValues) == 0 || containsFold(f.AllowedStringValues, value)
	case "REPEATED_STRING":
		if value == "" {
			return true
		}
		for _, one := range strings.Split(value, ",") {
			if !containsFold(f.AllowedStringValues, one) {
				return false
			}
		}
		return true
	case "MYSQL_TIMEZONE_OFFSET":
		return timezoneOffset(value)
	default:
		return false
	}
}

func containsFold(list []string, value string) bool {
	return slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, value) })
}

// timezoneOffset reports whether a value is [+-]HH:MM from -13:59 to +14:00, as
// MySQL takes for a time zone.
func timezoneOffset(value string) bool {
	if len(value) != 6 || value[3] != ':' || value[0] != '+' && value[0] != '-' {
		return false
	}
	hours, err1 := strconv.Atoi(value[1:3])
	minutes, err2 := strconv.Atoi(value[4:])
	if err1 != nil || err2 != nil || minutes > 59 {
		return false
	}
	return hours < 14 || value == "+14:00"
}

func (a *API) listFlags(c rest.Call) (rest.Answer, error) {
	if scope := c.Query.Get("flagScope"); scope != "" && scope != "SQL_FLAG_SCOPE_DATABASE" {
		return rest.Answer{}, rest.NotServed("sql.flags.list of %s", scope)
	}
	wanted := c.Query.Get("databaseVersion")
	list := &api.FlagsListResponse{Kind: "sql#flagsList", Items: []*api.Flag{}}
	found := wanted == ""
	for _, v := range a.o.Engine.Versions() {
		if wanted == "" || v.Name == wanted {
			list.Items = append(list.Items, v.Flags...)
			found = true
		}
	}
	if !found {
		return rest.Answer{}, invalid("Invalid database version (%s)", wanted)
	}
	return rest.OK(list)
}

// listTiers answers the machine types that the lab takes. The figures are
// Google's for db-custom-1-3840 and the like; nothing in the lab is sized by them.
func (a *API) listTiers(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	const gib, quota = int64(1) << 30, int64(3298534883328)
	regions := []string{"europe-west1", "europe-west3", "europe-west4", "us-central1", "us-east1", "us-west1"}
	list := &api.TiersListResponse{Kind: "sql#tiersList"}
	for _, t := range []struct {
		name string
		ram  int64
	}{
		{"db-f1-micro", 614 << 20}, {"db-g1-small", 1740 << 20},
		{"db-custom-1-3840", 3840 << 20}, {"db-custom-2-7680", 7680 << 20}, {"db-custom-4-15360", 15 * gib},
		{"db-perf-optimized-N-2", 16 * gib}, {"db-perf-optimized-N-4", 32 * gib},
	} {
		list.Items = append(list.Items, &api.Tier{Kind: "sql#tier", Tier: t.name, RAM: t.ram, DiskQuota: quota, Region: regions})
	}
	return rest.OK(list)
}
