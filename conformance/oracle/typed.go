// Expressions over an object whose schema is known.
//
// Here: the type that the API server makes of a schema, values read through it, and what its type
// checker warns of. Not here: lines without a schema (main.go).
// Invariant: types and values are made by the API server's own functions alone.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/interpreter"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// typed is what a line has beside an expression when its object has a schema.
type typed struct {
	// Name is what later lines say instead of the rest.
	Name string `json:"name"`
	// Document holds schemas as /openapi/v3/… does, Kind says which one is meant.
	Document struct {
		Components struct {
			Schemas map[string]*spec.Schema `json:"schemas"`
		} `json:"components"`
	} `json:"document"`
	Kind schema.GroupVersionKind `json:"kind"`
}

const (
	reference = "#/components/schemas/"
	marked    = "x-kubernetes-group-version-kind"
)

func (t *typed) ResolveSchema(kind schema.GroupVersionKind) (*spec.Schema, error) {
	for name, known := range t.Document.Components.Schemas {
		var kinds []schema.GroupVersionKind
		if err := known.Extensions.GetObject(marked, &kinds); err != nil {
			return nil, err
		}
		for _, one := range kinds {
			if one == kind {
				return resolver.PopulateRefs(func(ref string) (*spec.Schema, bool) {
					found, ok := t.Document.Components.Schemas[strings.TrimPrefix(ref, reference)]
					return found, ok
				}, name)
			}
		}
	}
	return nil, resolver.ErrSchemaNotFound
}

// prepared is an environment that many lines share.
type prepared struct {
	schema *spec.Schema
	decl   *apiservercel.DeclType
	env    *cel.Env
}

var environments = map[string]*prepared{}

func prepare(set *environment.EnvSet, raw json.RawMessage) (*prepared, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if known := environments[name]; known != nil {
			return known, nil
		}
		return nil, fmt.Errorf("no line before has a schema that is called %q", name)
	}
	var asked typed
	if err := json.Unmarshal(raw, &asked); err != nil {
		return nil, err
	}
	resolved, err := asked.ResolveSchema(asked.Kind)
	if err != nil {
		return nil, err
	}
	made := &prepared{schema: common.WithTypeAndObjectMeta(resolved)}
	made.decl = openapi.SchemaDeclType(resolved, true).MaybeAssignTypeName(asked.Kind.Kind)
	extended, err := set.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", made.decl.CelType()),
			cel.Variable("oldObject", made.decl.CelType()),
		},
		DeclTypes: []*apiservercel.DeclType{made.decl},
	})
	if err != nil {
		return nil, err
	}
	made.env, err = extended.Env(mode)
	if err != nil {
		return nil, err
	}
	environments[asked.Name] = made
	return made, nil
}

func evaluateTyped(set *environment.EnvSet, asked request) (result answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = answer{"error": fmt.Sprintf("panic: %v", panicked)}
		}
	}()
	made, err := prepare(set, asked.Schema)
	if err != nil {
		return answer{"inputError": err.Error()}
	}
	ast, issues := made.env.Compile(asked.Expr)
	if issues != nil {
		return answer{"compileError": issues.String()}
	}
	program, err := made.env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		return answer{"compileError": "program instantiation failed: " + err.Error()}
	}
	variables := map[string]any{}
	for _, name := range []string{"object", "oldObject"} {
		variables[name] = nil
		if raw := asked.Bindings[name]; len(raw) > 0 && string(raw) != "null" {
			// As the API server decodes: whole numbers are int64.
			var read any
			if err := utiljson.Unmarshal(raw, &read); err != nil {
				return answer{"inputError": err.Error()}
			}
			variables[name] = openapi.UnstructuredToVal(read, made.schema)
		}
	}
	activation, err := interpreter.NewActivation(variables)
	if err != nil {
		return answer{"inputError": err.Error()}
	}
	static := ast.OutputType().String()
	value, details, err := program.ContextEval(context.Background(), activation)
	result = answer{"staticType": static}
	if details != nil && details.ActualCost() != nil {
		result["cost"] = *details.ActualCost()
	}
	if err != nil {
		result["error"] = err.Error()
		return result
	}
	result["value"], result["type"] = shown(value), value.Type().TypeName()
	return result
}

// bounds are what each type that was made of a schema says of its size, by the way to it.
func bounds(set *environment.EnvSet, raw json.RawMessage) answer {
	made, err := prepare(set, raw)
	if err != nil {
		return answer{"inputError": err.Error()}
	}
	found := map[string]any{}
	var walk func(path string, decl *apiservercel.DeclType)
	walk = func(path string, decl *apiservercel.DeclType) {
		found[path] = []any{decl.CelType().String(), decl.MaxElements, decl.MinSerializedSize}
		if decl.KeyType != nil {
			walk(path+".@keys", decl.KeyType)
		}
		if decl.ElemType != nil {
			walk(path+".@elements", decl.ElemType)
		}
		for name, field := range decl.Fields {
			walk(path+"."+name, field.Type)
		}
	}
	walk(made.decl.TypeName(), made.decl)
	return answer{"bounds": found}
}

// mapper knows the kinds of a document by their resources, which are called as they are.
type mapper struct {
	meta.RESTMapper
	kinds map[schema.GroupVersionResource]schema.GroupVersionKind
}

func (m mapper) KindsFor(resource schema.GroupVersionResource) ([]schema.GroupVersionKind, error) {
	kind, ok := m.kinds[resource]
	if !ok {
		return nil, &meta.NoResourceMatchError{PartialResource: resource}
	}
	return []schema.GroupVersionKind{kind}, nil
}

// unique is what the API server puts behind the name of a kind, so that nobody uses it.
var unique = regexp.MustCompile(`(\bapplied to '|type '|found '|\(|, )([A-Z][A-Za-z]*)[0-9]+`)

// warnings are those of a policy, with names of types that are the same at each run.
func warnings(raw json.RawMessage) answer {
	var asked struct {
		typed
		Policy admissionv1.ValidatingAdmissionPolicy `json:"policy"`
	}
	if err := json.Unmarshal(raw, &asked); err != nil {
		return answer{"inputError": err.Error()}
	}
	kinds := map[schema.GroupVersionResource]schema.GroupVersionKind{}
	for _, known := range asked.Document.Components.Schemas {
		var found []schema.GroupVersionKind
		if err := known.Extensions.GetObject(marked, &found); err != nil {
			return answer{"inputError": err.Error()}
		}
		for _, kind := range found {
			plural, _ := meta.UnsafeGuessKindToResource(kind)
			kinds[plural] = kind
		}
	}
	checker := validating.TypeChecker{SchemaResolver: &asked.typed, RestMapper: mapper{kinds: kinds}}
	list := []answer{}
	for _, warning := range checker.Check(&asked.Policy) {
		list = append(list, answer{
			"fieldRef": warning.FieldRef,
			"warning":  unique.ReplaceAllString(warning.Warning, "$1$2"),
		})
	}
	return answer{"warnings": list}
}
