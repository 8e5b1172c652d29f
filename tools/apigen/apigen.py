#!/usr/bin/env python3
"""Writes C++ structs and field tables from src/api/schema/*.api.

usage: apigen.py SCHEMA_DIR OUT_DIR

For each GROUP_VERSION.api: OUT_DIR/api/types/GROUP_VERSION.h and .cc; for all of them OUT_DIR/api/types/fwd.h
(forward declarations) and OUT_DIR/api/resources.cc (the table behind src/api/resource.h).
src/api/schema/README.md describes the language. Files are only written when they change.
"""
import os
import re
import sys

SCALARS = {
    "string": ("String", "kString"), "bytes": ("String", "kBytes"), "bool": ("bool", "kBool"),
    "int32": ("int32_t", "kInt32"), "int64": ("int64_t", "kInt64"), "uint32": ("uint32_t", "kUint32"),
    "uint64": ("uint64_t", "kUint64"), "double": ("double", "kDouble"), "Quantity": ("Quantity", "kQuantity"),
    "Time": ("Time", "kTime"), "MicroTime": ("MicroTime", "kMicroTime"), "Duration": ("GoDuration", "kDuration"),
    "IntOrString": ("IntOrString", "kIntOrString"), "raw": ("RawJson", "kRawJson"),
}
KEYWORDS = set("""alignas and asm auto bool break case catch char class const continue default delete do double
else enum explicit export extern false float for friend goto if inline int long mutable namespace new not operator
or private protected public register return short signed sizeof static struct switch template this throw true try
typedef typename union unsigned using virtual void volatile while xor concept requires""".split())


class SchemaError(Exception):
    pass


def member(json):
    name = re.sub(r"[^A-Za-z0-9]+(.)?", lambda m: (m.group(1) or "").upper(), json.lstrip("$"))
    return name + "_" if name in KEYWORDS else name


class Field:
    def __init__(self, name, tag, text, marks):
        self.name, self.tag, self.text, self.marks = name, tag, text, marks
        self.embedded = name == "+"
        m = re.match(r"^(\*|\[\]|map\[string\])?(.+)$", text)
        self.shape = {None: "kPlain", "*": "kOpt", "[]": "kList", "map[string]": "kMap"}[m.group(1)]
        self.base = m.group(2)


class Struct:
    def __init__(self, name, has_type_meta, form, atomic):
        self.name, self.has_type_meta, self.form, self.atomic = name, has_type_meta, form, atomic
        self.fields = []


class Schema:
    """One .api file."""

    def __init__(self, path):
        self.id = os.path.basename(path)[:-4]
        self.grpc = False
        self.api = ""
        self.imports, self.structs, self.values, self.enums = [], {}, {}, {}
        self.resources, self.services = [], []
        current = None
        for number, line in enumerate(open(path), 1):
            line = line.rstrip("\n")
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                current = self.parse(line, current)
            except (ValueError, KeyError, IndexError) as e:
                raise SchemaError(f"{path}:{number}: {line.strip()}: {e}") from e

    def parse(self, line, current):
        words = line.split()
        if line[0] == " ":
            if isinstance(current, Struct):
                tag = 0 if words[1] == "-" else int(words[1])
                current.fields.append(Field(words[0], tag, words[2], words[3:]))
            elif words[0] == "column":
                m = re.match(r'\s*column "([^"]*)" (\S+) (\S+) (\d+)$', line)
                current["columns"].append(m.groups())
            elif words[0] == "subresource":
                current["subresources"].append(dict([("name", words[1])] + [w.split("=", 1) for w in words[2:]]))
            elif words[0] == "rpc":
                current[1].append(re.match(r"\s*rpc (\S+) (stream )?(\S+) -> (stream )?(\S+)$", line).groups())
            else:
                raise ValueError("what does this line belong to?")
            return current
        key = words[0]
        if key == "api":
            self.api = words[1]
        elif key == "grpc":
            self.grpc, self.api = True, words[1]
        elif key == "import":
            self.imports = words[1:]
        elif key in ("object", "struct"):
            options = dict(w.split("=", 1) for w in words[2:] if "=" in w)
            s = Struct(words[1], key == "object", options.get("form"), "atomic" in words[2:])
            self.structs[s.name] = s
            return s
        elif key == "list":
            s = Struct(words[1], False, "transparent", False)
            s.fields.append(Field("items", 1, "[]" + words[2], []))
            self.structs[s.name] = s
        elif key == "values":
            self.values[words[1]] = [w.strip('"') for w in re.findall(r'"[^"]*"|\S+', line.split("=", 1)[1])]
        elif key == "enum":
            self.enums[words[1]] = [w.split("=") for w in words[3:]]
        elif key == "resource":
            r = dict([("name", words[1])] + [w.split("=", 1) for w in words[2:]])
            r.update(columns=[], subresources=[])
            self.resources.append(r)
            return r
        elif key == "service":
            self.services.append((words[1], []))
            return self.services[-1]
        else:
            raise ValueError("unknown word " + key)
        return None


class Generator:
    def __init__(self, schemas):
        self.schemas = schemas
        for s in schemas.values():
            for st in s.structs.values():
                for f in st.fields:
                    self.resolve(s, f)

    def resolve(self, schema, f):
        """Sets f.cpp (element type), f.kind, f.struct and f.owner of a message."""
        f.struct = f.owner = None
        if f.base in SCALARS:
            f.cpp, f.kind = SCALARS[f.base]
            if f.cpp[0].isupper():
                f.cpp = "codec::" + f.cpp  # an API type may have the same name
            return
        owner, name = schema, f.base
        if "." in f.base:
            owner_id, name = f.base.split(".")
            owner = self.schemas[owner_id]
        if name in owner.structs:
            f.cpp = name if owner is schema else f"{owner.id}::{name}"
            f.kind, f.struct, f.owner = "kMessage", owner.structs[name], owner
        elif name in owner.values:
            f.cpp, f.kind = "codec::String", "kString"
        else:
            raise SchemaError(f"{schema.id}: no type {f.base}")

    def declare(self, f):
        if f.shape == "kPlain":
            zero = "" if f.kind in ("kMessage", "kString", "kBytes", "kQuantity", "kTime", "kMicroTime", "kDuration",
                                    "kIntOrString", "kRawJson") else (" = false" if f.kind == "kBool" else " = 0")
            return f"{f.cpp} {member(f.name)}{zero};"
        if f.shape == "kOpt":
            t = f"codec::Box<{f.cpp}>" if f.kind == "kMessage" else f"std::optional<{f.cpp}>"
        else:
            t = f"codec::{'List' if f.shape == 'kList' else 'Map'}<{f.cpp}>"
        return f"{t} {member(f.name)};"

    def ordered(self, schema):
        """Structs so that those held by value come first."""
        done, out = set(), []

        def visit(s, path=()):
            if s.name in done:
                return
            if s.name in path:
                raise SchemaError(f"{schema.id}: {s.name} holds itself by value")
            for f in s.fields:
                if f.struct is not None and f.owner is schema and f.shape == "kPlain":
                    visit(f.struct, path + (s.name,))
            done.add(s.name)
            out.append(s)

        for s in schema.structs.values():
            visit(s)
        return out

    def header(self, schema):
        out = [f"// Generated from src/api/schema/{schema.id}.api.", "#pragma once", "", "#include <optional>", "",
               '#include "api/types/fwd.h"', '#include "codec/list.h"']
        out += [f'#include "api/types/{i}.h"' for i in schema.imports]
        out += ["", f"namespace km::api::{schema.id} {{", ""]
        for name, values in schema.values.items():
            out.append(f"struct {name} {{")
            seen = set()
            for v in values:
                ident = "k" + (re.sub(r"[^A-Za-z0-9]+", "_", v).strip("_") or "Empty")
                if ident not in seen:
                    seen.add(ident)
                    out.append(f'  static constexpr std::string_view {ident} = "{v}";')
            out += ["};", ""]
        for name, values in schema.enums.items():
            out.append(f"struct {name} {{")
            out.append(f"  enum : int32_t {{ {', '.join(f'k{n} = {v}' for n, v in values)} }};")
            out += ["};", ""]
        for s in self.ordered(schema):
            bases = [f for f in s.fields if f.embedded]
            if len(bases) > 1:
                raise SchemaError(f"{schema.id}.{s.name}: more than one embedded struct")
            base = f" : {bases[0].cpp}" if bases else ""
            out.append(f"struct {s.name}{base} {{")
            out += ["  " + self.declare(f) for f in s.fields if not f.embedded]
            out += ["  static const codec::TypeInfo kType;", "};", ""]
        for name, rpcs in schema.services:
            out.append(f"// Paths of the methods of {name}.")
            out.append(f"struct {name}Methods {{")
            for rpc, *_ in rpcs:
                out.append(f'  static constexpr const char* {rpc} = "/{schema.api}.{name}/{rpc}";')
            out += ["};", ""]
        out += [f"}}  // namespace km::api::{schema.id}", ""]
        return "\n".join(out)

    def marks(self, schema, f):
        """The initializer of a FieldMarks, or None."""
        m, keys = {}, []
        if f.kind == "kString" and f.base != "string":
            m["goType"] = f'"{self.package(schema, f)}.{f.base.split(".")[-1]}"'
        for mark in f.marks:
            key, _, value = mark.partition("=")
            if key == "listType":
                m["listKind"] = "ListKind::k" + value.capitalize()
            elif key in ("mapType", "structType"):
                m["listKind"] = "ListKind::kAtomic" if value == "atomic" else "ListKind::kUnset"
            elif key == "listMapKey":
                keys.append(value)
            elif key == "patchStrategy":
                m["patchMerge"] = "true" if "merge" in value else "false"
                m["patchRetainKeys"] = "true" if "retainKeys" in value else "false"
            elif key == "retainKeys":
                m["patchRetainKeys"] = "true"
            elif key == "patchMergeKey":
                m["patchKey"] = f'"{value}"'
            elif key == "default":
                m["defaultJson"] = f'R"({value})"'
            elif key == "featureGate":
                m["featureGate"] = f'"{value}"'
        if keys:
            m["listKeys"] = f'"{",".join(keys)}"'
        order = ["goType", "listKind", "listKeys", "patchKey", "patchMerge", "patchRetainKeys", "defaultJson", "featureGate"]
        return "{" + ", ".join(f".{k} = {m[k]}" for k in order if k in m) + "}" if m else None

    @staticmethod
    def package(schema, f):
        owner = f.base.split(".")[0] if "." in f.base else schema.id
        return owner.rsplit("_", 1)[1]

    def flat(self, schema, s, root=None):
        """Fields in JSON order with embedded structs spread; yields (field, owner struct, schema)."""
        for f in s.fields:
            if f.embedded:
                yield from self.flat(f.owner, f.struct)
            else:
                yield f, s, schema

    def field_row(self, schema, struct, f, marks_name):
        flags = []
        for mark, flag in (("omitempty", "kOmitEmpty"), ("omitzero", "kOmitZero"), ("required", "kRequired"),
                           ("typeMeta", "kTypeMeta")):
            if mark in f.marks:
                flags.append(flag)
        type_ref = f"&{f.cpp}::kType" if f.kind == "kMessage" else "nullptr"
        offset = "0" if f.embedded else f"offsetof({struct.name}, {member(f.name)})"
        name = "" if f.embedded else f.name
        return (f'    {{"{name}", {type_ref}, {marks_name}, {offset}, {f.tag}, Kind::{f.kind}, Shape::{f.shape}, '
                f"{' | '.join(flags) or '0'}}},")

    def source(self, schema):
        out = [f"// Generated from src/api/schema/{schema.id}.api.", f'#include "api/types/{schema.id}.h"', "",
               "#include <cstddef>", "", f"namespace km::api::{schema.id} {{", "namespace {", "using codec::Field, codec::FieldMarks, codec::Kind, codec::Shape, codec::ListKind;",
               "using codec::kOmitEmpty, codec::kOmitZero, codec::kRequired, codec::kTypeMeta;", ""]
        infos = []
        for s in self.ordered(schema):
            rows = []
            for f, owner, owner_schema in self.flat(schema, s):
                self_f = f
                saved = f.cpp
                if owner_schema is not schema and f.kind == "kMessage" and "::" not in f.cpp:
                    f.cpp = f"{owner_schema.id}::{f.cpp}"
                init = self.marks(owner_schema, self_f)
                marks_name = "nullptr"
                if init:
                    marks_name = f"&k{s.name}_{member(f.name)}Marks"
                    out.append(f"constexpr FieldMarks k{s.name}_{member(f.name)}Marks = {init};")
                rows.append(self.field_row(schema, s, f, marks_name))
                f.cpp = saved
            if rows:
                out.append(f"constexpr Field k{s.name}Fields[] = {{")
                out += rows
                out.append("};")
            wire = sorted((f for f in s.fields if f.tag), key=lambda f: f.tag)
            plain = [f for f, _, _ in self.flat(schema, s)]
            if wire == plain or not wire:
                wire_name = f"k{s.name}Fields" if rows else "nullptr"
            else:
                wire_name = f"k{s.name}Wire"
                out.append(f"constexpr Field k{s.name}Wire[] = {{")
                out += [self.field_row(schema, s, f, "nullptr") for f in wire]
                out.append("};")
            form = {None: "kObject", "transparent": "kTransparent", "orArray": "kOrArray", "orBool": "kOrBool",
                    "orStringArray": "kOrStringArray"}[s.form]
            flags = (["codec::kHasTypeMeta"] if s.has_type_meta else []) + (["codec::kProto3"] if schema.grpc else []) + \
                    (["codec::kAtomicStruct"] if s.atomic else [])
            api = "" if schema.grpc else schema.api
            infos.append(f'const codec::TypeInfo {s.name}::kType = {{"{s.name}", "{api}", {f"k{s.name}Fields" if rows else "nullptr"}, '
                         f"{wire_name}, {len(rows)}, {len(wire)}, sizeof({s.name}), codec::Form::{form}, "
                         f"{' | '.join(flags) or '0'}}};")
        # TypeInfos are defined after all tables: a table may point at any of them.
        out += ["", "}  // namespace", ""] + infos + ["", f"}}  // namespace km::api::{schema.id}", ""]
        return "\n".join(out)

    def fwd(self):
        out = ["// Generated: declares every API type.", "#pragma once", "", '#include "codec/fwd.h"', "",
               "namespace km::api {", "using namespace codec;", ""]
        for s in self.schemas.values():
            out.append(f"namespace {s.id} {{")
            out += [f"struct {name};" for name in s.structs]
            out += ["}", ""]
        return "\n".join(out + ["}  // namespace km::api", ""])

    def resources(self):
        out = ["// Generated: the built-in resources, from the `resource` rows of src/api/schema.", '#include "api/resource.h"', ""]
        rows, body = [], []
        def strings(text):
            return ", ".join(f'"{x}"' for x in text.split(",")) if text else ""
        for s in self.schemas.values():
            if s.resources:
                out.append(f'#include "api/types/{s.id}.h"')
        for s in self.schemas.values():
            group, _, version = s.api.rpartition("/")
            for i, r in enumerate(s.resources):
                ident = f"{s.id}_{r['name']}"
                for key in ("verbs", "short", "categories", "fields"):
                    if r.get(key):
                        body.append(f"constexpr std::string_view k_{ident}_{key}[] = {{{strings(r[key])}}};")
                if r["columns"]:
                    cols = ", ".join('{"%s", "%s", "%s", %s}' % (n, t, "" if f == "-" else f, p) for n, t, f, p in r["columns"])
                    body.append(f"constexpr Column k_{ident}_columns[] = {{{cols}}};")
                if r["subresources"]:
                    subs = []
                    for sub in r["subresources"]:
                        var = f"k_{ident}_{sub['name'].replace('/', '_')}_verbs"
                        body.append(f"constexpr std::string_view {var}[] = {{{strings(sub['verbs'])}}};")
                        g, _, v = sub.get("api", s.api).rpartition("/")
                        explicit = "true" if "api" in sub else "false"
                        subs.append(f'{{"{sub["name"]}", "{g}", "{v}", "{sub["kind"]}", {var}, {explicit}}}')
                    body.append(f"constexpr Subresource k_{ident}_subs[] = {{{', '.join(subs)}}};")
                kind = r["kind"]
                info = f"&api::{s.id}::{kind}::kType" if kind in s.structs else "nullptr"
                lst = f"&api::{s.id}::{kind}List::kType" if kind + "List" in s.structs else "nullptr"
                opt = lambda key: f"k_{ident}_{key}" if r.get(key) else "{}"
                rows.append(f'    {{"{group}", "{version}", "{r["name"]}", "{r["singular"]}", "{kind}", {info}, {lst}, '
                            f'{"true" if r["scope"] == "Namespaced" else "false"}, {opt("verbs")}, {opt("short")}, {opt("categories")}, '
                            f'{opt("fields")}, {opt("subresources").replace("subresources", "subs")}, {opt("columns")}}},')
        out += ["", "namespace km::api {", "namespace {"] + body + ["const Resource kResources[] = {"] + rows
        out += ["};", "}  // namespace", "", "std::span<const Resource> builtinResources() { return kResources; }", "",
                "}  // namespace km::api", ""]
        return "\n".join(out)


def write(path, text):
    if os.path.exists(path) and open(path).read() == text:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def main():
    schema_dir, out_dir = sys.argv[1:3]
    schemas = {}
    for name in sorted(os.listdir(schema_dir)):
        if name.endswith(".api"):
            s = Schema(os.path.join(schema_dir, name))
            schemas[s.id] = s
    try:
        g = Generator(schemas)
        for s in schemas.values():
            write(f"{out_dir}/api/types/{s.id}.h", g.header(s))
            write(f"{out_dir}/api/types/{s.id}.cc", g.source(s))
        write(f"{out_dir}/api/types/fwd.h", g.fwd())
        write(f"{out_dir}/api/resources.cc", g.resources())
    except SchemaError as e:
        sys.exit(f"apigen: {e}")


if __name__ == "__main__":
    main()
