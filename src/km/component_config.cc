#include "km/component_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "base/duration.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/scalars.h"
#include "codec/yaml.h"

namespace km {
namespace {

using codec::Value;

const Value* at(const Value& root, std::string_view path) {
  const Value* v = &root;
  for (std::string_view part : split(path, '.')) {
    if (v == nullptr) return nullptr;
    v = v->find(part);
  }
  return v == nullptr || v->isNull() ? nullptr : v;
}

Value& ensure(Value& root, std::string_view path) {
  Value* v = &root;
  for (std::string_view part : split(path, '.')) {
    if (!v->isObject()) *v = Value::object();
    v = &(*v)[part];
  }
  return *v;
}

std::string_view nameOf(FieldType t) {
  switch (t) {
    case FieldType::kBool: return "bool";
    case FieldType::kInt: return "int32";
    case FieldType::kFloat: return "float32";
    case FieldType::kTexts: return "[]string";
    case FieldType::kInts: return "[]int32";
    case FieldType::kTextMap: return "map[string]string";
    case FieldType::kBoolMap: return "map[string]bool";
    case FieldType::kTextListMap: return "map[string][]string";
    default: return "string";
  }
}

std::string_view nameOf(const Value& v) {
  return v.isString() ? "string" : v.isBool() ? "bool" : v.isList() ? "array" : v.isObject() ? "object" : "number";
}

bool allOf(const Value& v, bool (Value::*is)() const) {
  for (const Value& i : v.items()) {
    if (!(i.*is)()) return false;
  }
  for (const Value::Member& m : v.members()) {
    if (!m.value.isNull() && !(m.value.*is)()) return false;  // null takes a key out of a map that is laid under
  }
  return true;
}

bool fits(const Value& v, FieldType t) {
  switch (t) {
    case FieldType::kBool: return v.isBool();
    case FieldType::kInt: return v.isInt();
    case FieldType::kFloat: return v.isInt() || v.isDouble();
    case FieldType::kText:
    case FieldType::kDuration: return v.isString();
    case FieldType::kTexts: return v.isList() && allOf(v, &Value::isString);
    case FieldType::kInts: return v.isList() && allOf(v, &Value::isInt);
    case FieldType::kTextMap: return v.isObject() && allOf(v, &Value::isString);
    case FieldType::kBoolMap: return v.isObject() && allOf(v, &Value::isBool);
    case FieldType::kTextListMap: return v.isObject() && allOf(v, &Value::isList);
    case FieldType::kAny: return true;
  }
  return false;
}

bool isZero(const Value& v) {
  return (v.isBool() && !v.asBool()) || (v.isInt() && v.asInt() == 0) || (v.isString() && (v.asString().empty() || v.asString() == "0s"));
}

// Walks the document by the table: types are checked, unknown fields are named and taken out.
class Reader {
 public:
  explicit Reader(const ConfigSchema& schema) : schema_(schema) {}

  Status read(Value& v, const std::string& path) {
    if (!v.isObject()) return errors::badRequest(fmt::format("json: cannot unmarshal {} into Go value of type {}", nameOf(v), schema_.kind));
    std::vector<std::string> gone;
    for (Value::Member& m : v.members()) {
      std::string here = path.empty() ? m.key.str() : path + "." + m.key.str();
      if (path.empty() && (m.key == "kind" || m.key == "apiVersion")) continue;
      const ConfigField* field = schema_.find(here);
      if (field == nullptr && !isFolder(here)) {
        unknown.push_back(fmt::format("unknown field \"{}\"", here));
        gone.push_back(m.key.str());
        continue;
      }
      if (m.value.isNull()) continue;
      if (field == nullptr) {
        KM_TRY(read(m.value, here));
        continue;
      }
      KM_TRY(check(m.value, *field));
    }
    for (const std::string& key : gone) v.erase(key);
    return {};
  }

  std::vector<std::string> unknown;

 private:
  bool isFolder(const std::string& path) const {
    return std::any_of(schema_.fields.begin(), schema_.fields.end(), [&](const ConfigField& f) { return f.path.starts_with(path + "."); });
  }
  Status check(Value& v, const ConfigField& field) const {
    if (!fits(v, field.type)) {
      return errors::badRequest(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", nameOf(v), schema_.kind, field.path, nameOf(field.type)));
    }
    if (field.type != FieldType::kDuration) return {};
    auto d = codec::GoDuration::parse(v.asString());
    if (!d.ok()) return d.status();
    v = Value::string(formatDuration(Duration(d->nanos)));
    return {};
  }
  const ConfigSchema& schema_;
};

}  // namespace

const ConfigField* ConfigSchema::find(std::string_view path) const {
  for (const ConfigField& f : fields) {
    if (f.path == path) return &f;
  }
  return nullptr;
}

ComponentConfig::ComponentConfig(const ConfigSchema& schema) : schema_(&schema), values_(Value::object()) {}

Status ComponentConfig::decode(std::string_view text, Value* out) const {
  std::vector<std::string> duplicates;
  auto document = codec::parseYaml(text, &duplicates);
  if (!document.ok()) return errors::badRequest("failed to decode: " + document.status().message());
  const Value *kind = at(*document, "kind"), *version = at(*document, "apiVersion");
  if (kind == nullptr || kind->asString().empty()) return errors::badRequest(fmt::format("failed to decode: Object 'Kind' is missing in '{}'", document->json()));
  if (version == nullptr || version->asString().empty()) {
    return errors::badRequest(fmt::format("failed to decode: Object 'apiVersion' is missing in '{}'", document->json()));
  }
  if (kind->asString() != schema_->kind || version->asString() != schema_->apiVersion) {
    return errors::badRequest(fmt::format("failed to decode: no kind \"{}\" is registered for version \"{}\" in scheme", kind->asString(), version->asString()));
  }
  Reader reader(*schema_);
  if (Status s = reader.read(*document, ""); !s.ok()) return errors::badRequest("failed to decode: " + s.message());
  std::vector<std::string> strict;
  if (!duplicates.empty()) strict.push_back(codec::yamlUnmarshalErrors(duplicates));
  strict.insert(strict.end(), reader.unknown.begin(), reader.unknown.end());
  if (!strict.empty()) {
    logWarning("Using lenient decoding as strict decoding failed", {{"err", fmt::format("strict decoding error: {}", fmt::join(strict, ", "))}});
  }
  document->erase("kind");
  document->erase("apiVersion");
  *out = std::move(*document);
  return {};
}

Status ComponentConfig::read(std::string_view text) {
  Value v;
  KM_TRY(decode(text, &v));
  values_ = std::move(v);
  return {};
}

Status ComponentConfig::load(const std::string& path) {
  KM_ASSIGN(std::string text, readFile(path));
  return read(text);
}

namespace {

// RFC 7386.
void mergePatch(Value& target, Value patch) {
  if (!patch.isObject()) {
    target = std::move(patch);
    return;
  }
  if (!target.isObject()) target = Value::object();
  for (Value::Member& m : patch.members()) {
    if (m.value.isNull()) {
      target.erase(m.key.view());
    } else {
      mergePatch(target[m.key.view()], std::move(m.value));
    }
  }
}

}  // namespace

Status ComponentConfig::merge(std::string_view text) {
  Value v;
  KM_TRY(decode(text, &v));
  mergePatch(values_, std::move(v));
  return {};
}

Status ComponentConfig::mergeDirectory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::recursive_directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    if (i->is_directory(error)) continue;
    if (i->path().extension() == ".conf") {
      paths.push_back(i->path().string());
    } else {
      KM_VINFO(4, "Skipped file in drop-in directory (does not have .conf extension)", {{"file", i->path().string()}});
    }
  }
  if (error) return errors::badRequest(fmt::format("failed to walk through drop-in directory \"{}\": {}", directory, error.message()));
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    KM_ASSIGN(std::string text, readFile(path));
    if (Status s = merge(text); !s.ok()) return errors::badRequest(fmt::format("failed to load drop-in file, path: {}, error: {}", path, s.message()));
  }
  return {};
}

void ComponentConfig::addFlags(FlagSet& flags) {
  for (const ConfigField& field : schema_->fields) {
    // Those of logging are every server's own.
    bool logging = field.flag == "v" || field.flag == "vmodule" || field.flag == "logging-format" || field.flag == "log-flush-frequency";
    if (field.flag.empty() || logging || flags.lookup(field.flag) != nullptr) continue;
    std::string_view why = field.note;
    std::string usage = fmt::format("Field `{}` of {}.{}{}", field.path, schema_->kind, why.empty() ? "" : " ",
                                    why.empty() ? "" : fmt::format("{}: {}", field.support == Support::kNo ? "Not supported" : "No effect", why));
    if (field.support == Support::kYes && !why.empty()) usage = std::string(why);
    Flag& flag = flags.addFunc([this, &field](std::string_view text) { return setFlag(field, text); }, field.flagType, field.flag, usage);
    std::string shown(field.preset.starts_with('"') ? field.preset.substr(1, field.preset.size() - 2) : field.preset);
    flag.defaultText(shown);
    if (field.type == FieldType::kBool) flag.noOptDefault("true");
  }
}

Status ComponentConfig::setFlag(const ConfigField& field, std::string_view text) {
  auto mine = std::find_if(flags_.begin(), flags_.end(), [&](const auto& f) { return f.first == &field; });
  bool first = mine == flags_.end();
  if (first) mine = flags_.insert(flags_.end(), {&field, Value()});
  Value& v = mine->second;
  // The flag's own rules of reading: those of FlagSet, over a variable of its type.
  FlagSet reader;
  std::vector<std::string> words{fmt::format("--x={}", text)};
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  Duration duration{0};
  std::vector<std::string> list;
  std::map<std::string, bool> gates;
  switch (field.type) {
    case FieldType::kBool: reader.add(&boolean, "x", ""); break;
    case FieldType::kInt: reader.add(&integer, "x", ""); break;
    case FieldType::kFloat: reader.add(&number, "x", ""); break;
    case FieldType::kDuration: reader.add(&duration, "x", ""); break;
    case FieldType::kTexts:
    case FieldType::kTextMap: reader.add(&list, "x", ""); break;
    case FieldType::kBoolMap: reader.add(&gates, "x", ""); break;
    default: break;
  }
  if (field.type == FieldType::kText) {
    v = Value::string(text);
  } else if (field.type == FieldType::kAny || field.type == FieldType::kInts || field.type == FieldType::kTextListMap) {
    v = Value::string(text);  // not supported: kept as it was said
  } else {
    if (Status s = reader.parse(words); !s.ok()) {
      std::string_view message = s.message();
      size_t colon = message.find("flag: ");
      return errors::badRequest(std::string(colon == std::string_view::npos ? message : message.substr(colon + 6)));
    }
    if (field.type == FieldType::kBool) v = Value::boolean(boolean);
    if (field.type == FieldType::kInt) v = Value::integer(integer);
    if (field.type == FieldType::kFloat) v = Value::number(number);
    if (field.type == FieldType::kDuration) v = Value::string(formatDuration(duration));
    if (field.type == FieldType::kTexts) {
      if (first) v = Value::list();
      for (const std::string& s : list) v.push(Value::string(s));
    }
    if (field.type == FieldType::kTextMap) {
      if (first) v = Value::object();
      for (const std::string& s : list) {
        size_t cutAt = s.find_first_of("=<");
        if (cutAt == std::string::npos) return errors::badRequest(fmt::format("malformed pair, expect string=string"));
        v.set(trimSpace(s.substr(0, cutAt)), Value::string(trimSpace(s.substr(cutAt + 1))));
      }
    }
    if (field.type == FieldType::kBoolMap) {
      if (first) v = Value::object();
      for (const auto& [name, on] : gates) v.set(name, Value::boolean(on));
    }
  }
  applyFlags();
  return {};
}

void ComponentConfig::applyFlags() {
  for (const auto& [field, v] : flags_) {
    Value& target = ensure(values_, field->path);
    if (field->type == FieldType::kBoolMap && target.isObject()) {
      for (const Value::Member& m : v.members()) target.set(m.key.view(), m.value);
    } else {
      target = v;
    }
  }
}

const Value* ComponentConfig::value(std::string_view path) const {
  const ConfigField* field = schema_->find(path);
  KM_CHECK(field != nullptr);
  const Value* said = at(values_, path);
  if (said != nullptr && (field->zeroCounts || field->preset.empty() || !isZero(*said))) return said;
  if (field->preset.empty()) return nullptr;
  static std::map<const ConfigField*, Value> presets;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto [it, fresh] = presets.try_emplace(field);
  if (fresh) it->second = *Value::parse(field->preset);
  return &it->second;
}

bool ComponentConfig::boolean(std::string_view path) const {
  const Value* v = value(path);
  return v != nullptr && v->asBool();
}
int64_t ComponentConfig::integer(std::string_view path) const {
  const Value* v = value(path);
  return v == nullptr ? 0 : v->asInt();
}
std::string ComponentConfig::text(std::string_view path) const {
  const Value* v = value(path);
  return v == nullptr ? "" : std::string(v->asString());
}
Duration ComponentConfig::duration(std::string_view path) const {
  auto d = codec::GoDuration::parse(text(path));
  return d.ok() ? Duration(d->nanos) : Duration(0);
}
std::vector<std::string> ComponentConfig::texts(std::string_view path) const {
  std::vector<std::string> out;
  const Value* v = value(path);
  if (v == nullptr) return out;
  for (const Value& i : v->items()) out.emplace_back(i.asString());
  return out;
}
std::map<std::string, std::string> ComponentConfig::textMap(std::string_view path) const {
  std::map<std::string, std::string> out;
  const Value* v = value(path);
  if (v == nullptr) return out;
  for (const Value::Member& m : v->members()) out[m.key.str()] = std::string(m.value.asString());
  return out;
}

bool ComponentConfig::isSet(std::string_view path) const {
  const Value* v = at(values_, path);
  if (v == nullptr) return false;
  const ConfigField* field = schema_->find(path);
  if (!field->zeroCounts && isZero(*v)) return false;
  if (!field->preset.empty()) return !(*v == *Value::parse(field->preset));
  return !isZero(*v) && (v->type() < Value::Type::kList || v->size() > 0);
}

void ComponentConfig::set(std::string_view path, Value v) { ensure(values_, path) = std::move(v); }

std::vector<std::string> ComponentConfig::notices(Support which) const {
  std::vector<std::string> out;
  for (const ConfigField& f : schema_->fields) {
    if (f.support != which || which == Support::kYes || !isSet(f.path)) continue;
    out.push_back(fmt::format("{}{} {}{}{}", f.path, f.flag.empty() ? "" : fmt::format(" (--{})", f.flag), which == Support::kNo ? "is not supported" : "has no effect",
                              f.note.empty() ? "" : ": ", f.note));
  }
  return out;
}

void ComponentConfig::tellNotices() const {
  for (const std::string& n : notices(Support::kNo)) KM_LOG(WARNING, "{}: {}", schema_->kind, n);
  for (const std::string& n : notices(Support::kNoEffect)) KM_VLOG(1, "{}: {}", schema_->kind, n);
}

namespace {

Value complete(const ConfigSchema& schema, const ComponentConfig& c) {
  Value all = Value::object();
  for (const ConfigField& f : schema.fields) {
    if (const Value* v = c.value(f.path)) ensure(all, f.path) = *v;
  }
  return all;
}

}  // namespace

std::string ComponentConfig::document() const {
  Value all = complete(*schema_, *this);
  all.set("kind", Value::string(schema_->kind));
  all.set("apiVersion", Value::string(schema_->apiVersion));
  return all.json();
}

std::string ComponentConfig::configz(std::string_view name) const {
  Value all = complete(*schema_, *this);
  Value out = Value::object();
  out.set(name, std::move(all));
  return out.json();
}

std::string aggregate(const std::vector<std::string>& errors) {
  return errors.size() == 1 ? errors[0] : fmt::format("[{}]", fmt::join(errors, ", "));
}

}  // namespace km
