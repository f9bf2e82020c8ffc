// Messages that expressions made, as they are shown.
//
// Here: those of protobuf, and those of a MutatingAdmissionPolicy as the API server converts them.
// Not here: other values (main.go).
// Invariant: what is not set is not shown.
package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
)

// noObject is shown of an object that can't be converted: the error quotes keys as Go prints them.
const noObject = "a key of a map is no text"

// message shows a message; whether the value is one.
func message(value ref.Val) (any, bool) {
	switch v := value.(type) {
	case *dynamic.ObjectVal:
		made, err := v.ConvertToNative(reflect.TypeFor[map[string]any]())
		if err != nil {
			return noObject, true
		}
		return native(made), true
	case *mutation.JSONPatchVal:
		made := map[string]any{}
		for name, text := range map[string]string{"op": v.Op, "path": v.Path, "from": v.From} {
			if text != "" {
				made[name] = text
			}
		}
		if v.Val != nil {
			made["value"] = shown(v.Val)
		}
		return made, true
	}
	if v, ok := value.Value().(proto.Message); ok {
		tester, isTester := value.(traits.FieldTester)
		indexer, isIndexer := value.(traits.Indexer)
		if !isTester || !isIndexer {
			return protobuf(v), true
		}
		made := map[string]any{}
		fields := v.ProtoReflect().Descriptor().Fields()
		for i := 0; i < fields.Len(); i++ {
			name := types.String(fields.Get(i).Name())
			if tester.IsSet(name) == types.True {
				made[string(name)] = shown(indexer.Get(name))
			}
		}
		return made, true
	}
	return nil, false
}

// notApplied is why the API server does not apply a mutation that has this value
// (pkg/admission/plugin/policy/mutating/patch).
func notApplied(value ref.Val) error {
	switch v := value.(type) {
	case *dynamic.ObjectVal:
		return v.CheckTypeNamesMatchFieldPathNames()
	case traits.Lister:
		for elements := v.Iterator(); elements.HasNext() == types.True; {
			patch, ok := elements.Next().(*mutation.JSONPatchVal)
			if !ok {
				continue
			}
			if object, ok := patch.Val.(*dynamic.ObjectVal); ok {
				if err := object.CheckTypeNamesMatchFieldPathNames(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// native shows what a conversion to Go's own types made.
func native(value any) any {
	switch v := value.(type) {
	case ref.Val:
		if types.IsError(v) {
			return noObject
		}
		return shown(v)
	case map[string]any:
		made := map[string]any{}
		for key, inner := range v {
			made[key] = native(inner)
		}
		return made
	case []any:
		made := []any{}
		for _, inner := range v {
			made = append(made, native(inner))
		}
		return made
	}
	made := types.DefaultTypeAdapter.NativeToValue(value)
	if types.IsError(made) {
		if v, ok := value.(proto.Message); ok {
			return protobuf(v)
		}
		return fmt.Sprint(value)
	}
	return shown(made)
}

// protobuf shows a message of protobuf.
func protobuf(value proto.Message) any {
	text, err := protojson.Marshal(value)
	if err != nil {
		return err.Error()
	}
	var made any
	if err := json.Unmarshal(text, &made); err != nil {
		return err.Error()
	}
	return made
}
