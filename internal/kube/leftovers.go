package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
)

// leftovers lists the metadata of every kind of object that can be listed in a namespace, by label. One request a kind: some 40.
func (v Viewer) leftovers(ctx context.Context, namespace, selector string) ([]Leftover, error) {
	disco, err := discovery.NewDiscoveryClientForConfig(v.c.config)
	if err != nil {
		return nil, fmt.Errorf("look for what is left: %w", err)
	}
	lists, err := again(ctx, v.c, func() ([]*metav1.APIResourceList, error) {
		return disco.ServerPreferredNamespacedResourcesWithContext(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("look for what is left: kinds of objects: %w", err)
	}
	client, err := metadata.NewForConfig(v.c.config)
	if err != nil {
		return nil, fmt.Errorf("look for what is left: %w", err)
	}
	var out []Leftover
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("look for what is left: %w", err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") {
				continue
			}
			got, err := again(ctx, v.c, func() (*metav1.PartialObjectMetadataList, error) {
				return client.Resource(gv.WithResource(r.Name)).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
			})
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue // announced by an API that doesn't serve it
			}
			if err != nil {
				return nil, fmt.Errorf("look for what is left: %s: %w", r.Name, err)
			}
			for _, o := range got.Items {
				out = append(out, Leftover{Name: r.Kind + " " + o.Name, Ending: o.DeletionTimestamp != nil})
			}
		}
	}
	slices.SortFunc(out, func(a, b Leftover) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Leftover) bool { return a.Name == b.Name }), nil
}
