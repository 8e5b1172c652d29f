#include <fmt/format.h>

#include "base/strings.h"
#include "object/patch_kinds.h"

namespace km::object {
namespace {

using codec::Value;

Status fail(std::string message) {
  return errors::failed(message);
}

// Equal as texts: 1 is not 1.0.
bool sameValue(const Value& a, const Value& b) {
  if (a.type() != b.type() || a.size() != b.size()) return false;
  for (size_t i = 0; i < a.items().size(); i++) {
    if (!sameValue(a.items()[i], b.items()[i])) return false;
  }
  for (size_t i = 0; i < a.members().size(); i++) {
    const auto& m = a.members()[i];
    const auto& n = b.members()[i];
    if (!(m.key == n.key) || !sameValue(m.value, n.value)) return false;
  }
  return a.isList() || a.isObject() || a == b;
}

// A key of a JSON pointer: one pass, so that "~01" is "~1".
std::string decodeKey(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] == '~' && i + 1 < s.size() && (s[i + 1] == '0' || s[i + 1] == '1')) {
      out += s[++i] == '0' ? '~' : '/';
    } else {
      out += s[i];
    }
  }
  return out;
}

// The container that holds the last key of a path.
struct Place {
  Value* container = nullptr;  // a list or an object; null: the path leads nowhere
  std::string key;
};

// The index that `key` names in a list of `size` places; or an error text.
Status indexOf(std::string_view key, size_t size, size_t* index) {
  auto n = parseInt64(key);
  if (!n) return fail(fmt::format("strconv.Atoi: parsing {}: invalid syntax", quote(key)));
  int64_t length = static_cast<int64_t>(size);
  if (*n >= length || *n < -length)
    return fail(fmt::format("Unable to access invalid index: {}: invalid index referenced", *n));
  *index = static_cast<size_t>(*n < 0 ? *n + length : *n);
  return {};
}

class Patcher {
 public:
  Patcher(Value& document, Value& touched) : doc_(document), touched_(touched) {}

  Status run(const Value& op) {
    const Value* name = op.find("op");
    std::string_view kind = name != nullptr && name->isString() ? name->asString() : "unknown";
    if (kind == "add") return add(op);
    if (kind == "remove") return remove(op);
    if (kind == "replace") return replace(op);
    if (kind == "move") return move(op);
    if (kind == "test") return test(op);
    if (kind == "copy") return copy(op);
    return fail(fmt::format("Unexpected kind: {}", kind));
  }

 private:
  static Status text(const Value& op, const char* member, std::string* out) {
    const Value* v = op.find(member);
    if (v == nullptr || v->isNull())
      return fail(fmt::format("operation missing {} field: missing value", member));
    if (!v->isString()) return fail(fmt::format("json: cannot unmarshal into Go value of type string"));
    *out = v->asString();
    return {};
  }

  static const Value& valueOf(const Value& op) {
    static const Value kNone;
    const Value* v = op.find("value");
    return v != nullptr ? *v : kNone;
  }

  Place find(std::string_view path) {
    auto parts = split(path, '/');
    if (parts.size() < 2) return {};
    Value* at = &doc_;
    // Objects on the way are decoded, which sorts their keys when they are printed.
    Value* mark = touched_.isObject() ? &touched_ : nullptr;
    for (size_t i = 1; i + 1 < parts.size(); i++) {
      std::string key = decodeKey(parts[i]);
      if (at->isList()) {
        size_t index;
        if (!indexOf(key, at->size(), &index).ok()) return {};
        at = &at->items()[index];
      } else {
        at = at->find(key);
      }
      if (at == nullptr || (!at->isList() && !at->isObject())) return {};
      if (mark != nullptr) mark = &(*mark)[key];
      if (mark != nullptr && mark->isNull()) *mark = at->isObject() ? Value::object() : Value::boolean(true);
      if (mark != nullptr && !mark->isObject()) mark = nullptr;
    }
    if (!at->isList() && !at->isObject()) return {};
    return {at, decodeKey(parts.back())};
  }

  void touch(std::string_view path) {
    auto parts = split(path, '/');
    Value* at = &touched_;
    for (size_t i = 1; i < parts.size(); i++) {
      if (!at->isNull() && !at->isObject()) return;
      at = &(*at)[decodeKey(parts[i])];
    }
    *at = Value::boolean(true);
  }

  // Reads a member; an absent one of an object is null.
  static Status get(const Place& p, Value** v) {
    if (p.container->isList()) {
      size_t index;
      KM_TRY(indexOf(p.key, p.container->size(), &index));
      *v = &p.container->items()[index];
    } else {
      *v = p.container->find(p.key);
    }
    return {};
  }

  static Status put(const Place& p, Value v) {
    if (p.container->isObject()) {
      p.container->set(p.key, std::move(v));
      return {};
    }
    if (p.key == "-") {
      p.container->push(std::move(v));
      return {};
    }
    size_t index;
    KM_TRY(indexOf(p.key, p.container->size() + 1, &index));
    p.container->insert(index, std::move(v));
    return {};
  }

  static Status take(const Place& p) {
    if (p.container->isList()) {
      size_t index;
      KM_TRY(indexOf(p.key, p.container->size(), &index));
      p.container->remove(index);
      return {};
    }
    if (!p.container->erase(p.key))
      return fail(fmt::format("Unable to remove nonexistent key: {}: missing value", p.key));
    return {};
  }

  Status missing(std::string_view what, std::string_view path) {
    return fail(
        fmt::format("{} operation does not apply: doc is missing path: {}: missing value", what, path));
  }

  Status add(const Value& op) {
    std::string path;
    KM_TRY(text(op, "path", &path));
    Place p = find(path);
    if (p.container == nullptr) return missing("add", path);
    touch(path);
    return put(p, valueOf(op));
  }

  Status remove(const Value& op) {
    std::string path;
    KM_TRY(text(op, "path", &path));
    Place p = find(path);
    if (p.container == nullptr) return missing("remove", path);
    touch(path);
    return take(p);
  }

  Status replace(const Value& op) {
    std::string path;
    KM_TRY(text(op, "path", &path));
    if (path.empty()) {
      const Value& v = valueOf(op);
      if (!v.isObject() && !v.isList()) return fail("replace operation value must be object or array");
      doc_ = v;
      touched_ = Value::boolean(true);
      return {};
    }
    Place p = find(path);
    if (p.container == nullptr) return missing("replace", path);
    Value* old;
    if (!get(p, &old).ok()) return missing("replace", path);
    touch(path);
    if (old != nullptr) {
      *old = valueOf(op);
    } else {
      p.container->set(p.key, valueOf(op));
    }
    return {};
  }

  Status move(const Value& op) {
    std::string from, path;
    KM_TRY(text(op, "from", &from));
    Place p = find(from);
    if (p.container == nullptr) return missing("move", from);
    Value* v;
    KM_TRY(get(p, &v));
    Value moved = v != nullptr ? *v : Value();
    KM_TRY(take(p));
    touch(from);
    KM_TRY(text(op, "path", &path));
    p = find(path);
    if (p.container == nullptr) return missing("move", path);
    touch(path);
    return put(p, std::move(moved));
  }

  Status test(const Value& op) {
    std::string path;
    KM_TRY(text(op, "path", &path));
    Status failed = fail(fmt::format("testing value {} failed: test failed", path));
    if (path.empty()) return sameValue(doc_, valueOf(op)) ? Status() : failed;
    Place p = find(path);
    if (p.container == nullptr) return missing("test", path);
    Value* v;
    KM_TRY(get(p, &v));
    static const Value kNone;
    return sameValue(v != nullptr ? *v : kNone, valueOf(op)) ? Status() : failed;
  }

  Status copy(const Value& op) {
    std::string from, path;
    KM_TRY(text(op, "from", &from));
    Place p = find(from);
    if (p.container == nullptr) return missing("copy", from);
    Value* v;
    KM_TRY(get(p, &v));
    Value copied = v != nullptr ? *v : Value();
    KM_TRY(text(op, "path", &path));
    p = find(path);
    if (p.container == nullptr) return missing("copy", path);
    // Doubling an object thousands of times must not eat the memory of the server.
    copied_ += copied.json().size();
    if (copied_ > kMaxCopied) return fail("the copy operations of the patch make the object too large");
    touch(path);
    return put(p, std::move(copied));
  }

  static constexpr size_t kMaxCopied = 16 << 20;
  Value& doc_;
  Value& touched_;
  size_t copied_ = 0;
};

}  // namespace

Status applyJsonPatch(Value& document, const Value& operations, Value& touched) {
  Patcher p(document, touched);
  for (const Value& op : operations.items()) KM_TRY(p.run(op));
  return {};
}

}  // namespace km::object
