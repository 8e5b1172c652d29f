#include <fmt/format.h>

#include "base/strings.h"
#include "object/go_print.h"
#include "object/typed.h"

namespace km::object {

using codec::Form;
using codec::ListKind;
using codec::Shape;
using codec::TypeInfo;
using codec::Value;

Schema Schema::ofValue(codec::Kind kind, const TypeInfo* type) {
  Schema s;
  switch (kind) {
    case codec::Kind::kBool:
      s.kind_ = Kind::kScalar;
      s.scalar_ = Scalar::kBoolean;
      break;
    case codec::Kind::kInt32:
    case codec::Kind::kInt64:
    case codec::Kind::kUint32:
    case codec::Kind::kUint64:
    case codec::Kind::kDouble:
      s.kind_ = Kind::kScalar;
      s.scalar_ = Scalar::kNumeric;
      break;
    case codec::Kind::kString:
    case codec::Kind::kBytes:
      s.kind_ = Kind::kScalar;
      s.scalar_ = Scalar::kString;
      break;
    case codec::Kind::kQuantity:
    case codec::Kind::kTime:
    case codec::Kind::kMicroTime:
    case codec::Kind::kDuration:
    case codec::Kind::kIntOrString:
      s.kind_ = Kind::kScalar;
      break;
    case codec::Kind::kRawJson:
      s.kind_ = Kind::kRaw;
      break;
    case codec::Kind::kMessage:
      if (type->form == Form::kTransparent) return ofField(type->fields[0]);
      if (type->form != Form::kObject) {
        s.atomic_ = true;
        break;
      }
      s.kind_ = Kind::kStruct;
      s.type_ = type;
      s.atomic_ = (type->flags & codec::kAtomicStruct) != 0;
  }
  return s;
}

Schema Schema::ofField(const codec::Field& f) {
  bool marked = f.marks != nullptr && f.marks->listKind == ListKind::kAtomic;
  if (f.shape == Shape::kPlain || f.shape == Shape::kOpt) {
    Schema s = ofValue(f.kind, f.type);
    s.atomic_ = s.atomic_ || marked;
    // A PersistentVolume's reference to its claim is owned field by field, unlike all other references.
    if (f.name == "claimRef") s.atomic_ = false;
    return s;
  }
  Schema s;
  s.kind_ = f.shape == Shape::kMap ? Kind::kMap : Kind::kList;
  s.elementKind_ = f.kind;
  s.type_ = f.type;
  s.marks_ = f.marks;
  bool associative =
      f.marks != nullptr && (f.marks->listKind == ListKind::kSet || f.marks->listKind == ListKind::kMap);
  s.atomic_ = f.shape == Shape::kMap ? marked : !associative;
  return s;
}

Schema Schema::of(const TypeInfo& t) {
  return ofValue(codec::Kind::kMessage, &t);
}

std::vector<std::string_view> Schema::keys() const {
  if (kind_ != Kind::kList || marks_ == nullptr || marks_->listKind != ListKind::kMap ||
      marks_->listKeys == nullptr)
    return {};
  return split(marks_->listKeys, ',');
}

Value Schema::keyDefault(std::string_view key) const {
  const codec::Field* f = type_ != nullptr ? type_->find(key) : nullptr;
  if (f == nullptr) return {};
  if (f->marks != nullptr && f->marks->defaultJson != nullptr) {
    auto v = Value::parse(f->marks->defaultJson);
    return v.ok() ? std::move(v).value() : Value();
  }
  // A field that is always there is empty by default.
  if ((f->flags & codec::kOmitEmpty) != 0 || f->shape != codec::Shape::kPlain) return {};
  if (f->kind == codec::Kind::kString) return Value::string("");
  if (f->kind == codec::Kind::kInt32 || f->kind == codec::Kind::kInt64) return Value::integer(0);
  return {};
}

bool Schema::field(std::string_view name, Schema* out) const {
  if (kind_ != Kind::kStruct) return false;
  if (const codec::Field* f = type_->find(name); f != nullptr) {
    *out = ofField(*f);
    return true;
  }
  if ((type_->flags & codec::kHasTypeMeta) != 0 && (name == "kind" || name == "apiVersion")) {
    *out = ofValue(codec::Kind::kString, nullptr);
    return true;
  }
  return false;
}

Schema Schema::element() const {
  if (kind_ == Kind::kRaw) return *this;
  if (kind_ == Kind::kMap || kind_ == Kind::kList) {
    return ofValue(elementKind_, type_);
  }
  Schema s;  // inside an atomic value anything may stand
  s.atomic_ = true;
  return s;
}

Schema Schema::deduced(const Value& v) const {
  if (kind_ != Kind::kRaw && kind_ != Kind::kAnything) return *this;
  Schema s = *this;
  if (v.isList()) {
    s.kind_ = Kind::kAnything;
    s.atomic_ = true;
  }
  return s;
}

std::optional<PathElement> elementPath(const Value& element, const Schema& list, std::string* error) {
  auto keys = list.keys();
  if (keys.empty()) {
    if (element.isScalar()) return PathElement::element(element);
    *error = element.isObject() ? "associative list without keys has an element that's a map type"
             : element.isList() ? "not supported: associative list with lists as elements"
                                : "associative list without keys has an element that's an explicit null";
    return std::nullopt;
  }
  if (!element.isObject()) {
    *error = element.isNull() ? "associative list with keys may not have a null element"
                              : "associative list with keys may not have non-map elements";
    return std::nullopt;
  }
  Value fields = Value::object();
  std::string names;
  for (std::string_view key : keys) {
    if (!names.empty()) names += ' ';
    names += quote(key);
    if (const Value* v = element.find(key); v != nullptr) {
      fields.set(key, *v);
    } else if (Value d = list.keyDefault(key); !d.isNull()) {
      fields.set(key, std::move(d));
    }
  }
  if (fields.size() == 0) {
    *error = fmt::format(
        "associative list with keys has an element that omits all key fields [{}] (and doesn't have default "
        "values for "
        "any key fields)",
        names);
    return std::nullopt;
  }
  return PathElement::key(std::move(fields));
}

namespace {

// %#v of a decoded value.
std::string goSyntax(const Value& v) {
  if (v.isString()) return quote(v.asString());
  if (v.isNull()) return "interface {}(nil)";
  if (v.isList()) {
    std::string out = "[]interface {}{";
    for (const Value& e : v.items()) out += (out.back() == '{' ? "" : ", ") + goSyntax(e);
    return out + "}";
  }
  if (v.isObject()) {
    std::string out = "map[string]interface {}{";
    for (const auto& m : v.members()) {
      if (out.back() != '{') out += ", ";
      out += quote(m.key) + ":" + goSyntax(m.value);
    }
    return out + "}";
  }
  return goPrint(v);
}

class Validator {
 public:
  std::vector<std::string> errors;

  void visit(const Value& v, const Schema& schema) {
    Schema s = schema.deduced(v);
    if (v.isNull()) return;
    switch (s.kind()) {
      case Schema::Kind::kScalar:
        return scalar(v, s);
      case Schema::Kind::kRaw:
      case Schema::Kind::kAnything:
        return;
      case Schema::Kind::kList:
        return list(v, s);
      case Schema::Kind::kMap:
      case Schema::Kind::kStruct:
        return map(v, s);
    }
  }

 private:
  void report(std::string message) {
    std::string where = pathText(path_);
    errors.push_back(where.empty() ? message : fmt::format("{}: {}", where, message));
  }

  void scalar(const Value& v, const Schema& s) {
    switch (s.scalar()) {
      case Schema::Scalar::kNumeric:
        if (!v.isInt() && !v.isDouble())
          report(fmt::format("expected numeric (int or float), got {}", goType(v)));
        break;
      case Schema::Scalar::kString:
        if (!v.isString())
          report(fmt::format("expected string, got &value.valueUnstructured{{Value:{}}}", goSyntax(v)));
        break;
      case Schema::Scalar::kBoolean:
        if (!v.isBool()) report(fmt::format("expected boolean, got &{{{}}}", goPrint(v)));
        break;
      case Schema::Scalar::kUntyped:
        if (!v.isScalar()) report(fmt::format("expected any scalar, got &{{{}}}", goPrint(v)));
        break;
    }
  }

  void list(const Value& v, const Schema& s) {
    if (!v.isList()) return report(fmt::format("expected list, got &{{{}}}", goPrint(v)));
    FieldSet seen;
    int64_t i = 0;
    for (const Value& e : v.items()) {
      PathElement pe = PathElement::index(i);
      if (!s.atomic()) {
        std::string error;
        auto found = elementPath(e, s, &error);
        if (!found) return report(fmt::format("element {}: {}", i, error));
        pe = std::move(*found);
        if (seen.hasMember(pe)) report(fmt::format("duplicate entries for key {}", pe.str()));
        seen.insertMember(pe);
      }
      path_.push_back(std::move(pe));
      visit(e, s.element());
      path_.pop_back();
      i++;
    }
  }

  void map(const Value& v, const Schema& s) {
    if (!v.isObject()) return report(fmt::format("expected map, got &{{{}}}", goPrint(v)));
    for (const auto& m : v.members()) {
      path_.push_back(PathElement::field(m.key));
      Schema child;
      if (s.kind() == Schema::Kind::kMap) {
        visit(m.value, s.element());
      } else if (s.field(m.key, &child)) {
        visit(m.value, child);
      } else {
        report("field not declared in schema");
        path_.pop_back();
        return;
      }
      path_.pop_back();
    }
  }

  FieldPath path_;
};

}  // namespace

std::vector<std::string> validate(const Value& v, const Schema& s) {
  Validator walk;
  walk.visit(v, s);
  return std::move(walk.errors);
}

std::string joinErrors(const std::vector<std::string>& errors) {
  if (errors.size() == 1) return errors[0];
  std::string out = "errors:";
  for (const std::string& e : errors) out += "\n  " + e;
  return out;
}

}  // namespace km::object
