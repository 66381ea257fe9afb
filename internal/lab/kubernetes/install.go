package kubernetes

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/internal/lab/kubernetes/storage"
)

// AdminGroup is the group of a TokenReview's answer that makes a cluster admin: the cloud gives it to accounts that have the role.
const AdminGroup = "iam:roles/container.admin"

// install makes what every cluster of the cloud has from the beginning.
func (c *cluster) install(ctx context.Context) error {
	// GKE grants by IAM in an authorizer of its own; here the group is bound.
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "lab:container.admin"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: AdminGroup}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("bind %s: %w", AdminGroup, err)
	}
	if err := storage.Install(ctx, c.client); err != nil {
		return err
	}
	return c.installDNS(ctx)
}
