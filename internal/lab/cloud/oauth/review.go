package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
)

// The messages of authentication.k8s.io/v1 TokenReview, as far as a webhook
// sends and answers them (kubernetes.io/docs, "Webhook Token Authentication").
// They are written out so that the lab's cloud needs no Kubernetes module.
type tokenReview struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Spec       *reviewSpec  `json:"spec,omitempty"`
	Status     reviewStatus `json:"status"`
}

type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type reviewStatus struct {
	Authenticated bool        `json:"authenticated"`
	User          *reviewUser `json:"user,omitempty"`
	Error         string      `json:"error,omitempty"`
}

type reviewUser struct {
	Username string   `json:"username"`
	UID      string   `json:"uid"`
	Groups   []string `json:"groups,omitempty"`
}

// serveReview says to a cluster's API server whose access token it was shown.
// The groups are iam:<role> for each role of the account, to which the cluster
// binds its own (GKE asks IAM instead; the outcome is the same for the roles
// that the lab has).
func (s *Server) serveReview(w http.ResponseWriter, r *http.Request) {
	var review tokenReview
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Spec == nil ||
		review.APIVersion != "authentication.k8s.io/v1" || review.Kind != "TokenReview" {
		http.Error(w, "not a TokenReview of authentication.k8s.io/v1", http.StatusBadRequest)
		return
	}
	answer := tokenReview{APIVersion: review.APIVersion, Kind: review.Kind}
	principal, held, ok := s.lookup(review.Spec.Token)
	if !ok || !slices.Contains(principal.Scopes, "https://www.googleapis.com/auth/cloud-platform") {
		answer.Status.Error = "the access token is unknown, has expired, or has not the scope cloud-platform"
		s.write(w, http.StatusOK, answer)
		return
	}
	groups := make([]string, 0, len(held))
	for _, role := range held {
		groups = append(groups, "iam:"+role)
	}
	answer.Status = reviewStatus{Authenticated: true, User: &reviewUser{Username: principal.Email, UID: principal.Email, Groups: groups}}
	s.write(w, http.StatusOK, answer)
}
