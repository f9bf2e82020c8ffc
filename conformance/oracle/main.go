// Command oracle evaluates expressions with the API server's own engine: JSON lines in, one out
// for each, in the protocol of `bailiff eval --batch`.
//
// Here: the API server's packages, called as its ValidatingAdmissionPolicy plugin calls them. Not
// here: what is compared (crates/cli/tests/differential.rs). References to images are normalized too
// (reference.go, crates/oci/tests/differential.rs).
// Invariant: one environment for all lines; a line that panics has an answer as well.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	plugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

const budget = 10_000_000

// mode is what may be written into a new policy at a compatibility version; what is stored already
// may use the functions of all versions.
const mode = environment.NewExpressions

type expression struct{ name, text string }

func (e expression) GetName() string        { return e.name }
func (e expression) GetExpression() string  { return e.text }
func (expression) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType} }

type request struct {
	ID        json.RawMessage `json:"id"`
	Expr      string          `json:"expr"`
	Variables []struct {
		Name       string `json:"name"`
		Expression string `json:"expression"`
	} `json:"variables"`
	Bindings map[string]json.RawMessage `json:"bindings"`
	Budget   *int64                     `json:"budget"`
	// Of an object whose type is known, of its bounds, or of a policy (typed.go).
	Schema    json.RawMessage `json:"schema"`
	Bounds    json.RawMessage `json:"bounds"`
	TypeCheck json.RawMessage `json:"typeCheck"`
	Estimate  *estimation     `json:"estimate"`
	// Reference is an image reference to normalize (reference.go).
	Reference *string `json:"reference"`
	// Mutation declares the types of a MutatingAdmissionPolicy as well.
	Mutation bool `json:"mutation"`
}

type answer map[string]any

func object(raw json.RawMessage) (runtime.Object, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	// As the API server decodes: whole numbers are int64.
	read := &unstructured.Unstructured{}
	if err := read.UnmarshalJSON(withKind(raw)); err != nil {
		return nil, err
	}
	return read, nil
}

// withKind gives an object without a kind one, which decoding asks for.
func withKind(raw json.RawMessage) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields["kind"] != nil {
		return raw
	}
	fields["kind"] = json.RawMessage(`"Thing"`)
	fields["apiVersion"] = json.RawMessage(`"v1"`)
	made, err := json.Marshal(fields)
	if err != nil {
		return raw
	}
	return made
}

func evaluate(set *environment.EnvSet, plain *plugin.CompositedCompiler, asked request) (result answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = answer{"error": fmt.Sprintf("panic: %v", panicked)}
		}
	}()
	_, hasParams := asked.Bindings["params"]
	_, hasAuthorizer := asked.Bindings["authorizer"]
	options := plugin.OptionalVariableDeclarations{HasParams: hasParams, HasAuthorizer: hasAuthorizer, HasPatchTypes: asked.Mutation}
	compiler := plain
	if len(asked.Variables) > 0 {
		// Variables are added to their compiler, so it is of no use to another line.
		made, err := plugin.NewCompositedCompiler(set)
		if err != nil {
			return answer{"inputError": err.Error()}
		}
		compiler = made
	}
	// A mutating policy's variables do without its types
	// (pkg/admission/plugin/policy/mutating/compilation.go).
	plainOptions := options
	plainOptions.HasPatchTypes = false
	for _, variable := range asked.Variables {
		compiler.CompileAndStoreVariable(expression{variable.Name, variable.Expression}, plainOptions, mode)
	}
	accessor := expression{"", asked.Expr}
	compiled := compiler.CompileCELExpression(accessor, options, mode)
	if compiled.Error != nil {
		return answer{"compileError": strings.TrimPrefix(compiled.Error.Detail, "compilation failed: ")}
	}
	static := compiled.OutputType.String()
	condition := compiler.CompileCondition([]plugin.ExpressionAccessor{accessor}, options, mode)

	attributes := &admission.VersionedAttributes{}
	now, err := object(asked.Bindings["object"])
	if err == nil && now != nil {
		attributes.VersionedObject = admission.NewLazyObject(now)
	}
	before, oldErr := object(asked.Bindings["oldObject"])
	if oldErr == nil && before != nil {
		attributes.VersionedOldObject = admission.NewLazyObject(before)
	}
	var params runtime.Object
	if hasParams {
		params, _ = object(asked.Bindings["params"])
	}
	var admitted *admissionv1.AdmissionRequest
	if raw := asked.Bindings["request"]; len(raw) > 0 && string(raw) != "null" {
		admitted = &admissionv1.AdmissionRequest{}
		if err := json.Unmarshal(raw, admitted); err != nil {
			return answer{"inputError": err.Error()}
		}
	}
	var namespace *corev1.Namespace
	if raw := asked.Bindings["namespaceObject"]; len(raw) > 0 && string(raw) != "null" {
		namespace = &corev1.Namespace{}
		if err := json.Unmarshal(raw, namespace); err != nil {
			return answer{"inputError": err.Error()}
		}
	}
	limit := int64(budget)
	if asked.Budget != nil {
		limit = *asked.Budget
	}
	optional := plugin.OptionalVariableBindings{VersionedParams: params}
	if hasAuthorizer {
		fixed, err := readRules(asked.Bindings["authorizer"])
		if err != nil {
			return answer{"inputError": err.Error()}
		}
		optional.Authorizer = fixed
		attributes.Attributes = requested(admitted)
	}
	results, left, err := condition.ForInput(context.Background(), attributes, admitted, optional, namespace, limit)
	if err != nil {
		if detailed, ok := err.(*apiservercel.Error); ok {
			return answer{"error": detailed.Detail, "staticType": static}
		}
		return answer{"error": err.Error(), "staticType": static}
	}
	cost := limit - left
	if results[0].Error != nil {
		prefix := fmt.Sprintf("expression '%v' resulted in error: ", asked.Expr)
		message := results[0].Error.Error()
		if detailed, ok := results[0].Error.(*apiservercel.Error); ok {
			message = detailed.Detail
		}
		return answer{"error": strings.TrimPrefix(message, prefix), "cost": cost, "staticType": static}
	}
	value := results[0].EvalResult
	told := answer{"value": shown(value), "type": value.Type().TypeName(), "cost": cost, "staticType": static}
	if fault := notApplied(value); fault != nil {
		told["mutationError"] = fmt.Sprintf("type mismatch: %v", fault)
	}
	return told
}

func shown(value ref.Val) any {
	// Questions about rights have no value of their own.
	if name := value.Type().TypeName(); strings.HasPrefix(name, "kubernetes.authorization.") {
		return name
	}
	switch v := value.(type) {
	case types.Null:
		return nil
	case types.Bool:
		return bool(v)
	case types.Int:
		return int64(v)
	case types.Uint:
		return uint64(v)
	case types.Double:
		f := float64(v)
		switch {
		case math.IsNaN(f):
			return "NaN"
		case math.IsInf(f, 1):
			return "Infinity"
		case math.IsInf(f, -1):
			return "-Infinity"
		}
		return f
	case types.String:
		return string(v)
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v)
	case types.Duration:
		return v.Duration.String()
	case types.Timestamp:
		return v.Time.Format(time.RFC3339Nano)
	case *types.Optional:
		if v.HasValue() {
			return answer{"optional": []any{shown(v.GetValue())}}
		}
		return answer{"optional": []any{}}
	case apiservercel.Quantity:
		return v.Quantity.String()
	case *apiservercel.Quantity:
		return v.Quantity.String()
	case apiservercel.URL:
		return v.URL.String()
	case apiservercel.IP:
		return v.Addr.String()
	case apiservercel.CIDR:
		return v.Prefix.String()
	case apiservercel.Semver:
		return v.Version.String()
	case apiservercel.Format:
		return v.Name
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			list = append(list, shown(it.Next()))
		}
		return list
	case traits.Mapper:
		made := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			made[keyText(key)] = shown(v.Get(key))
		}
		return made
	case ref.Type:
		return v.TypeName()
	}
	if made, found := message(value); found {
		return made
	}
	return fmt.Sprint(value.Value())
}

// keyText is the text of a key: scalars as string() writes them, others by their type.
func keyText(key ref.Val) string {
	switch key.(type) {
	case traits.Lister, traits.Mapper, *types.Optional:
		return key.Type().TypeName()
	case types.Null:
		return "null"
	}
	if _, found := message(key); found {
		return key.Type().TypeName()
	}
	if text, ok := key.ConvertToType(types.StringType).(types.String); ok {
		return string(text)
	}
	return fmt.Sprint(shown(key))
}

// patience is how long an evaluation may take. Costs do not bound quantities with large exponents: the
// engine computes with all of their digits.
const patience = 20 * time.Second

// within answers in time, or says that it did not; what takes longer goes on by itself.
func within(limit time.Duration, evaluate func() answer) answer {
	answered := make(chan answer, 1)
	go func() { answered <- evaluate() }()
	select {
	case result := <-answered:
		return result
	case <-time.After(limit):
		return answer{"error": "too slow: no answer within " + limit.String()}
	}
}

func main() {
	release := flag.String("kubernetes-version", "1.37", "release whose environment is used")
	timed := flag.Bool("bench", false, "time policies instead (bench.go)")
	flag.Parse()
	set := environment.MustBaseEnvSet(version.MustParse(*release))
	if *timed {
		if err := serve(set, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
		return
	}
	plain, err := plugin.NewCompositedCompiler(set)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
	costs := &estimators{base: set, made: map[string]*cel.Env{}}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			var asked request
			result := answer{}
			if err := json.Unmarshal(line, &asked); err != nil {
				result["inputError"] = err.Error()
			} else if asked.Reference != nil {
				result = normalized(*asked.Reference)
			} else if asked.Schema != nil {
				result = evaluateTyped(set, asked)
			} else if asked.Bounds != nil {
				result = bounds(set, asked.Bounds)
			} else if asked.TypeCheck != nil {
				result = warnings(asked.TypeCheck)
			} else if asked.Estimate != nil {
				result = costs.answer(asked)
			} else {
				result = within(patience, func() answer { return evaluate(set, plain, asked) })
			}
			result["id"] = asked.ID
			if err := encoder.Encode(result); err != nil {
				fmt.Fprintln(os.Stderr, "oracle:", err)
				os.Exit(1)
			}
			if in.Buffered() == 0 {
				out.Flush()
			}
		}
		if err != nil {
			out.Flush()
			return
		}
	}
}
