package storage

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/storage/v1"
)

var (
	bucketName   = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]$`)
	bucketFields = []string{"name", "kind", "location", "storageClass", "labels", "iamConfiguration"}
	noCache      = http.Header{"Pragma": {"no-cache"}}
)

func (a *API) insertBucket(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	if c.Query.Get("enableObjectRetention") == "true" {
		return rest.Answer{}, rest.NotServed("buckets with object retention")
	}
	for _, name := range []string{"predefinedAcl", "predefinedDefaultObjectAcl"} {
		if c.Query.Has(name) {
			return rest.Answer{}, rest.NotServed("storage.buckets.insert with %s", name)
		}
	}
	var in api.Bucket
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !slices.Contains(bucketFields, name) {
			return rest.Answer{}, rest.NotServed("the field %s of a bucket", name)
		}
	}
	if in.Name == "" {
		return rest.Answer{}, required("name")
	}
	if !bucketName.MatchString(in.Name) || strings.HasPrefix(in.Name, "goog") {
		return rest.Answer{}, invalid("Invalid bucket name: '%s'", in.Name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.buckets[in.Name]; ok {
		return rest.Answer{}, legacy(http.StatusConflict, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	m := a.newBucket(&in)
	a.buckets[in.Name] = &bucket{message: m, objects: make(map[string]*object)}
	return rest.Answer{Body: a.shown(m, c.Query.Get("projection") == "full"), Header: noCache}, nil
}

func (a *API) newBucket(in *api.Bucket) *api.Bucket {
	now := stamp(a.o.Now())
	location, kind, rpo := strings.ToUpper(in.Location), "region", ""
	if location == "" {
		location = "US"
	}
	if location == "US" || location == "EU" || location == "ASIA" {
		kind, rpo = "multi-region", "DEFAULT"
	}
	class := in.StorageClass
	if class == "" {
		class = "STANDARD"
	}
	uniform := in.IamConfiguration != nil && in.IamConfiguration.UniformBucketLevelAccess != nil && in.IamConfiguration.UniformBucketLevelAccess.Enabled
	prevention := "inherited"
	if in.IamConfiguration != nil && in.IamConfiguration.PublicAccessPrevention != "" {
		prevention = in.IamConfiguration.PublicAccessPrevention
	}
	forced := []string{"Enabled"}
	return &api.Bucket{
		Kind: "storage#bucket", Id: in.Name, Name: in.Name, ProjectNumber: a.o.ProjectNumber, Labels: in.Labels,
		Location: location, LocationType: kind, Rpo: rpo, StorageClass: class,
		Generation: a.generation(), Metageneration: 1, Etag: "CAE=", TimeCreated: now, Updated: now,
		SelfLink: "https://www.googleapis.com/storage/v1/b/" + in.Name,
		IamConfiguration: &api.BucketIamConfiguration{
			PublicAccessPrevention:   prevention,
			BucketPolicyOnly:         &api.BucketIamConfigurationBucketPolicyOnly{Enabled: uniform, ForceSendFields: forced},
			UniformBucketLevelAccess: &api.BucketIamConfigurationUniformBucketLevelAccess{Enabled: uniform, ForceSendFields: forced},
		},
		SoftDeletePolicy: &api.BucketSoftDeletePolicy{EffectiveTime: now, RetentionDurationSeconds: 604800},
	}
}

// shown is a bucket as it is answered; with projection full, its access lists
// (as every bucket has them that was given none).
func (a *API) shown(m *api.Bucket, full bool) *api.Bucket {
	if !full || m.IamConfiguration.UniformBucketLevelAccess.Enabled {
		return m
	}
	out := *m
	number := strconv.FormatUint(a.o.ProjectNumber, 10)
	out.Owner = &api.BucketOwner{Entity: "project-owners-" + number}
	for _, team := range []struct{ name, role string }{{"owners", "OWNER"}, {"editors", "OWNER"}, {"viewers", "READER"}} {
		entity := "project-" + team.name + "-" + number
		out.Acl = append(out.Acl, &api.BucketAccessControl{
			Kind: "storage#bucketAccessControl", Bucket: m.Name, Entity: entity, Etag: m.Etag, Id: m.Name + "/" + entity, Role: team.role,
			ProjectTeam: &api.BucketAccessControlProjectTeam{ProjectNumber: number, Team: team.name},
			SelfLink:    m.SelfLink + "/acl/" + entity,
		})
		out.DefaultObjectAcl = append(out.DefaultObjectAcl, &api.ObjectAccessControl{
			Kind: "storage#objectAccessControl", Entity: entity, Etag: m.Etag, Role: team.role,
			ProjectTeam: &api.ObjectAccessControlProjectTeam{ProjectNumber: number, Team: team.name},
		})
	}
	return &out
}

func (a *API) checkProject(c rest.Call) *rest.Error {
	switch c.Query.Get("project") {
	case "":
		return required("project")
	case a.o.Project, strconv.FormatUint(a.o.ProjectNumber, 10):
		return nil
	}
	return legacy(http.StatusForbidden, "forbidden", "%s does not have access to the Google Cloud project %s.", c.Principal.Email, c.Query.Get("project"))
}

// find looks up the bucket that a call names. a.mu must be held.
func (a *API) find(c rest.Call) (*bucket, *rest.Error) {
	b, ok := a.buckets[c.PathValue("bucket")]
	if !ok {
		return nil, noBucket()
	}
	return b, nil
}

func (a *API) getBucket(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkConditions(c, b.message.Generation, b.message.Metageneration); e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(a.shown(b.message, c.Query.Get("projection") == "full"))
}

func (a *API) listBuckets(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	if c.Query.Get("softDeleted") == "true" {
		return rest.Answer{}, rest.NotServed("soft-deleted buckets")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &api.Buckets{Kind: "storage#buckets"}
	for _, name := range slices.Sorted(maps.Keys(a.buckets)) {
		if strings.HasPrefix(name, c.Query.Get("prefix")) {
			answer.Items = append(answer.Items, a.shown(a.buckets[name].message, c.Query.Get("projection") == "full"))
		}
	}
	from, to, next, e := page(c, len(answer.Items))
	if e != nil {
		return rest.Answer{}, e
	}
	answer.Items, answer.NextPageToken = answer.Items[from:to], next
	return rest.OK(answer)
}

func (a *API) deleteBucket(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkConditions(c, b.message.Generation, b.message.Metageneration); e != nil {
		return rest.Answer{}, e
	}
	if len(b.objects) > 0 {
		return rest.Answer{}, legacy(http.StatusConflict, "conflict", "The bucket you tried to delete is not empty.")
	}
	delete(a.buckets, b.message.Name)
	return rest.Answer{Code: http.StatusNoContent, Header: noCache}, nil
}

// checkConditions holds a resource against a call's preconditions. generation 0
// stands for a resource that is not there, as ifGenerationMatch=0 asks.
func checkConditions(c rest.Call, generation, metageneration int64) *rest.Error {
	for _, one := range []struct {
		name  string
		value int64
		match bool
	}{
		{"ifGenerationMatch", generation, true}, {"ifGenerationNotMatch", generation, false},
		{"ifMetagenerationMatch", metageneration, true}, {"ifMetagenerationNotMatch", metageneration, false},
	} {
		text := c.Query.Get(one.name)
		if text == "" {
			continue
		}
		want, err := strconv.ParseInt(text, 10, 64)
		if err != nil || want < 0 {
			return invalid("Invalid value for '%s': '%s'", one.name, text)
		}
		if (want == one.value) != one.match {
			if !one.match && c.Method == http.MethodGet {
				return legacy(http.StatusNotModified, "notModified", "Not Modified")
			}
			return conditionNotMet(one.name)
		}
	}
	return nil
}

// page cuts a list of n by maxResults and pageToken; a token is an index.
func page(c rest.Call, n int) (from, to int, next string, e *rest.Error) {
	to = n
	if token := c.Query.Get("pageToken"); token != "" {
		at, err := strconv.Atoi(token)
		if err != nil || at < 0 || at > n {
			return 0, 0, "", invalid("Invalid pageToken")
		}
		from = at
	}
	most := 1000
	if text := c.Query.Get("maxResults"); text != "" {
		asked, err := strconv.Atoi(text)
		if err != nil || asked < 1 {
			return 0, 0, "", invalid("Invalid maxResults")
		}
		most = min(most, asked)
	}
	if from+most < n {
		to = from + most
		next = strconv.Itoa(to)
	}
	return from, to, next, nil
}
