package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"

	"k8s.io/apimachinery/pkg/util/version"
	plugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// A line with "estimate" is not evaluated: its answer is what the API server estimates that the
// expression costs at least and at most.

// estimation says what is known before: variables with their types, which take the place of those
// of an admission policy, and sizes by path ("object.spec.containers.@items.name").
type estimation struct {
	Variables map[string]json.RawMessage `json:"variables"`
	Sizes     map[string][2]uint64       `json:"sizes"`
}

// sizes answers what cel-go asks about what is no constant.
type sizes map[string][2]uint64

func (s sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	known, found := s[strings.Join(node.Path(), ".")]
	if !found {
		return nil
	}
	return &checker.SizeEstimate{Min: known[0], Max: known[1]}
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

var scalars = map[string]*apiservercel.DeclType{
	// Not of a schema, but variables of it are declared as well.
	"authorizer": apiservercel.NewSimpleTypeWithMinSize("authorizer", library.AuthorizerType, nil, 0),

	"bool":      apiservercel.BoolType,
	"bytes":     apiservercel.BytesType,
	"double":    apiservercel.DoubleType,
	"duration":  apiservercel.DurationType,
	"dyn":       apiservercel.DynType,
	"int":       apiservercel.IntType,
	"string":    apiservercel.StringType,
	"timestamp": apiservercel.TimestampType,
	"uint":      apiservercel.UintType,
}

// declared reads a type: a name, {"list": T}, {"map": T} with text as keys, or {"object": NAME,
// "fields": {…}}.
func declared(raw json.RawMessage, objects *[]*apiservercel.DeclType) (*apiservercel.DeclType, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if scalar, found := scalars[name]; found {
			return scalar, nil
		}
		return nil, fmt.Errorf("no type is called %q", name)
	}
	var parts struct {
		List   json.RawMessage            `json:"list"`
		Map    json.RawMessage            `json:"map"`
		Object string                     `json:"object"`
		Fields map[string]json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, err
	}
	switch {
	case parts.List != nil:
		element, err := declared(parts.List, objects)
		if err != nil {
			return nil, err
		}
		return apiservercel.NewListType(element, -1), nil
	case parts.Map != nil:
		value, err := declared(parts.Map, objects)
		if err != nil {
			return nil, err
		}
		return apiservercel.NewMapType(apiservercel.StringType, value, -1), nil
	}
	fields := map[string]*apiservercel.DeclField{}
	for field, inner := range parts.Fields {
		made, err := declared(inner, objects)
		if err != nil {
			return nil, err
		}
		fields[field] = apiservercel.NewDeclField(field, made, false, nil, nil)
	}
	object := apiservercel.NewObjectType(parts.Object, fields)
	*objects = append(*objects, object)
	return object, nil
}

// estimators keeps an environment for each set of variables.
type estimators struct {
	base *environment.EnvSet
	made map[string]*cel.Env
}

func (e *estimators) env(variables map[string]json.RawMessage) (*cel.Env, error) {
	key, err := json.Marshal(variables)
	if err != nil {
		return nil, err
	}
	if env, found := e.made[string(key)]; found {
		return env, nil
	}
	var options []cel.EnvOption
	var objects []*apiservercel.DeclType
	if variables == nil {
		namespace, request := plugin.BuildNamespaceType(), plugin.BuildRequestType()
		objects = append(objects, namespace, request)
		options = append(options,
			cel.Variable(plugin.ObjectVarName, cel.DynType),
			cel.Variable(plugin.OldObjectVarName, cel.DynType),
			cel.Variable(plugin.NamespaceVarName, namespace.CelType()),
			cel.Variable(plugin.RequestVarName, request.CelType()),
		)
	}
	// A policy's own variables, of which there are none.
	composed := apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
	objects = append(objects, composed)
	options = append(options, cel.Variable(plugin.VariableVarName, composed.CelType()))
	names := make([]string, 0, len(variables))
	for name := range variables {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		declared, err := declared(variables[name], &objects)
		if err != nil {
			return nil, err
		}
		options = append(options, cel.Variable(name, declared.CelType()))
	}
	set, err := e.base.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        options,
		DeclTypes:         objects,
	}, environment.StrictCostOpt)
	if err != nil {
		return nil, err
	}
	env := set.StoredExpressionsEnv()
	e.made[string(key)] = env
	return env, nil
}

func (e *estimators) answer(asked request) (result answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = answer{"error": fmt.Sprintf("panic: %v", panicked)}
		}
	}()
	env, err := e.env(asked.Estimate.Variables)
	if err != nil {
		return answer{"inputError": err.Error()}
	}
	compiled, issues := env.Compile(asked.Expr)
	if issues.Err() != nil {
		return answer{"compileError": issues.String()}
	}
	// A constant that has no value is found here, as when a rule is stored.
	if _, err := env.Program(compiled); err != nil {
		return answer{"compileError": "program instantiation failed: " + err.Error()}
	}
	estimate, err := env.EstimateCost(compiled, &library.CostEstimator{SizeEstimator: sizes(asked.Estimate.Sizes)})
	if err != nil {
		return answer{"error": err.Error()}
	}
	return answer{"estimatedCost": answer{"min": estimate.Min, "max": estimate.Max}}
}
