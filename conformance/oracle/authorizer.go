// Rules instead of a cluster's authorizer, as `bailiff eval` reads them (crates/cli/src/eval/rules.rs).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

type rule struct {
	Users           []string `json:"users"`
	Verbs           []string `json:"verbs"`
	APIGroups       []string `json:"apiGroups"`
	Resources       []string `json:"resources"`
	Namespaces      []string `json:"namespaces"`
	ResourceNames   []string `json:"resourceNames"`
	NonResourceURLs []string `json:"nonResourceURLs"`
	Decision        string   `json:"decision"`
	Reason          string   `json:"reason"`
	Error           string   `json:"error"`
}

type fixedRules struct {
	Rules []rule `json:"rules"`
}

func readRules(raw json.RawMessage) (*fixedRules, error) {
	read := &fixedRules{}
	return read, json.Unmarshal(raw, read)
}

// among tells whether a list is for a text; one that is not there is for all.
func among(list []string, text string) bool {
	return list == nil || slices.Contains(list, "*") || slices.Contains(list, text)
}

func full(asked authorizer.Attributes) string {
	if asked.GetSubresource() == "" {
		return asked.GetResource()
	}
	return asked.GetResource() + "/" + asked.GetSubresource()
}

func (r rule) isFor(asked authorizer.Attributes) bool {
	if !among(r.Users, asked.GetUser().GetName()) || !among(r.Verbs, asked.GetVerb()) {
		return false
	}
	if !asked.IsResourceRequest() {
		return r.Resources == nil && r.APIGroups == nil && among(r.NonResourceURLs, asked.GetPath())
	}
	return r.NonResourceURLs == nil && among(r.APIGroups, asked.GetAPIGroup()) && among(r.Resources, full(asked)) &&
		among(r.Namespaces, asked.GetNamespace()) && among(r.ResourceNames, asked.GetName())
}

// Authorize returns the decision of the first matching rule.
func (f *fixedRules) Authorize(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, r := range f.Rules {
		if !r.isFor(asked) {
			continue
		}
		switch r.Decision {
		case "Allow":
			return authorizer.DecisionAllow, r.Reason, nil
		case "Deny":
			return authorizer.DecisionDeny, r.Reason, nil
		case "NoOpinion":
			return authorizer.DecisionNoOpinion, r.Reason, nil
		}
		return authorizer.DecisionNoOpinion, r.Reason, errors.New(r.Error)
	}
	name, verb := asked.GetUser().GetName(), asked.GetVerb()
	reason := fmt.Sprintf("no rule matches user=%s verb=%s path=%s", name, verb, asked.GetPath())
	if asked.IsResourceRequest() {
		reason = fmt.Sprintf("no rule matches user=%s verb=%s group=%s resource=%s namespace=%s name=%s",
			name, verb, asked.GetAPIGroup(), full(asked), asked.GetNamespace(), asked.GetName())
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// requested gives the attributes that a review was made from.
func requested(review *admissionv1.AdmissionRequest) admission.Attributes {
	if review == nil {
		review = &admissionv1.AdmissionRequest{}
	}
	resource := schema.GroupVersionResource{Group: review.Resource.Group, Version: review.Resource.Version, Resource: review.Resource.Resource}
	subresource := review.SubResource
	if review.RequestResource != nil {
		resource = schema.GroupVersionResource{Group: review.RequestResource.Group, Version: review.RequestResource.Version, Resource: review.RequestResource.Resource}
		subresource = review.RequestSubResource
	}
	requester := &user.DefaultInfo{Name: review.UserInfo.Username, UID: review.UserInfo.UID, Groups: review.UserInfo.Groups}
	return admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, review.Namespace, review.Name, resource, subresource, admission.Create, nil, false, requester)
}
