package main

// Times the API server's engine for bench/src/expressions: policies are loaded, run so many times,
// compiled so many times.
//
// Here: loops around the plugin's own evaluator, with one thread, so that what the collector takes
// is part of the time. Not here: what is run, and what it is compared with.
// Invariant: a run whose verdicts are not all true is an error, not a time.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"k8s.io/apiserver/pkg/admission"
	plugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

type policy struct {
	Variables   [][2]string `json:"variables"`
	Validations []string    `json:"validations"`
}

type order struct {
	Do       string          `json:"do"`
	Times    int             `json:"times"`
	Policies []policy        `json:"policies"`
	Object   json.RawMessage `json:"object"`
}

type bench struct {
	set        *environment.EnvSet
	policies   []policy
	text       json.RawMessage
	attributes *admission.VersionedAttributes
	conditions []plugin.ConditionEvaluator
}

func (b *bench) compile(p policy) (plugin.ConditionEvaluator, error) {
	compiler, err := plugin.NewCompositedCompiler(b.set)
	if err != nil {
		return nil, err
	}
	return compiled(compiler, p), nil
}

func compiled(compiler *plugin.CompositedCompiler, p policy) plugin.ConditionEvaluator {
	options := plugin.OptionalVariableDeclarations{}
	for _, v := range p.Variables {
		compiler.CompileAndStoreVariable(expression{v[0], v[1]}, options, environment.StoredExpressions)
	}
	accessors := make([]plugin.ExpressionAccessor, 0, len(p.Validations))
	for _, text := range p.Validations {
		accessors = append(accessors, expression{"", text})
	}
	return compiler.CompileCondition(accessors, options, environment.StoredExpressions)
}

func attributesOf(text json.RawMessage) (*admission.VersionedAttributes, error) {
	read, err := object(text)
	if err != nil {
		return nil, err
	}
	return &admission.VersionedAttributes{VersionedObject: admission.NewLazyObject(read)}, nil
}

func (b *bench) run(attributes *admission.VersionedAttributes) error {
	for _, condition := range b.conditions {
		results, _, err := condition.ForInput(context.Background(), attributes, nil, plugin.OptionalVariableBindings{}, nil, budget)
		if err != nil {
			return err
		}
		for _, result := range results {
			if result.Error != nil {
				return result.Error
			}
			if result.EvalResult != types.True {
				return fmt.Errorf("%s is not true", result.ExpressionAccessor.GetExpression())
			}
		}
	}
	return nil
}

func (b *bench) load(asked order) (err error) {
	b.policies, b.text, b.conditions = asked.Policies, asked.Object, nil
	if b.attributes, err = attributesOf(b.text); err != nil {
		return err
	}
	for _, p := range b.policies {
		condition, err := b.compile(p)
		if err != nil {
			return err
		}
		b.conditions = append(b.conditions, condition)
	}
	return b.run(b.attributes)
}

func (b *bench) once(what string) error {
	switch what {
	case "run":
		return b.run(b.attributes)
	case "text":
		attributes, err := attributesOf(b.text)
		if err != nil {
			return err
		}
		return b.run(attributes)
	case "compile":
		for _, p := range b.policies {
			if _, err := b.compile(p); err != nil {
				return err
			}
		}
		return nil
	case "environment":
		_, err := plugin.NewCompositedCompiler(b.set)
		return err
	}
	return errors.New("nothing is called " + what)
}

// serve answers one order by line.
func serve(set *environment.EnvSet, in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	b := &bench{set: set}
	lines, encoder := bufio.NewReaderSize(in, 1<<20), json.NewEncoder(out)
	for {
		line, err := lines.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			result := answer{}
			var asked order
			fault := json.Unmarshal([]byte(line), &asked)
			if fault == nil && asked.Do == "load" {
				fault = b.load(asked)
			} else if fault == nil {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				started := time.Now()
				for i := 0; i < asked.Times && fault == nil; i++ {
					fault = b.once(asked.Do)
				}
				result["ns"] = time.Since(started).Nanoseconds()
				runtime.ReadMemStats(&after)
				result["allocations"] = after.Mallocs - before.Mallocs
			}
			if fault != nil {
				result["error"] = fault.Error()
			}
			if err := encoder.Encode(result); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
