// Holds managed fields and server-side apply against recorded answers of the real API server, where the
// recordings are at hand (KM_SHARED, or ../shared beside the source tree). The recorded objects stand in for
// registry and defaults: a step's answer, without its managed fields, is what was to be stored.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "api/resource.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/value.h"
#include "object/convert.h"
#include "object/managed_fields.h"
#include "object/patch.h"

namespace km::object {
namespace {

using codec::Value;

std::string shared() {
  const char* set = std::getenv("KM_SHARED");
  return set != nullptr ? set : "../shared";
}

struct Target {
  const api::Resource* resource = nullptr;
  std::string key;  // of the object, whatever the version
  std::string subresource;
  std::map<std::string, std::string> query;
};

Target parsePath(std::string_view path, const Value& answer) {
  Target t;
  size_t mark = path.find('?');
  if (mark != std::string_view::npos) {
    for (std::string_view p : split(path.substr(mark + 1), '&')) {
      auto kv = cut(p, '=');
      if (kv) t.query[std::string(kv->first)] = kv->second;
    }
    path = path.substr(0, mark);
  }
  auto parts = split(path.substr(1), '/');
  size_t i = parts[0] == "api" ? 1 : 2;
  if (parts.size() <= i + 1) return t;
  std::string_view group = i == 1 ? std::string_view() : parts[1], version = parts[i];
  i++;
  std::string ns;
  if (parts[i] == "namespaces" && parts.size() > i + 2 && parts[i + 2] != "status" &&
      parts[i + 2] != "finalize") {
    ns = parts[i + 1];
    i += 2;
  }
  if (i >= parts.size()) return t;
  t.resource = api::findResource(group, version, parts[i]);
  std::string name;
  if (parts.size() > i + 1) name = parts[i + 1];
  if (parts.size() > i + 2) t.subresource = parts[i + 2];
  if (name.empty() && answer.find("metadata") != nullptr &&
      answer.find("metadata")->find("name") != nullptr) {
    name = answer.find("metadata")->find("name")->asString();
  }
  if (!name.empty()) t.key = std::string(parts[i]) + "/" + ns + "/" + name;
  return t;
}

void fillTokens(Value& v) {
  for (auto& m : v.members()) {
    if (m.value.asString() == "<time>") m.value = Value::string("2026-01-01T00:00:00Z");
    fillTokens(m.value);
  }
  for (Value& e : v.items()) fillTokens(e);
}

api::MutableObject decode(const Value& v, const codec::TypeInfo& type) {
  auto o = api::Object::make(type);
  Status s = codec::decodeJson(v.json(), o->data(), type);
  return s.ok() ? o : nullptr;
}

// Entries without the times themselves, sorted.
std::multiset<std::string> entries(const Value& object) {
  std::multiset<std::string> out;
  const Value* metadata = object.find("metadata");
  const Value* fields = metadata != nullptr ? metadata->find("managedFields") : nullptr;
  if (fields == nullptr) return out;
  for (Value e : fields->items()) {
    if (Value* t = e.find("time")) *t = Value::string("t");
    out.insert(e.json());
  }
  return out;
}

std::multiset<std::string> entries(const api::Object& o) {
  std::string text;
  codec::encodeJson(text, o.data(), o.type());
  return entries(*Value::parse(text));
}

class Replay {
 public:
  explicit Replay(const Value& c) : case_(c) {}

  void run() {
    size_t i = 0;
    for (const Value& step : case_.find("steps")->items()) {
      answers_.push_back(step.find("expect") && step.find("expect")->find("body")
                             ? *step.find("expect")->find("body")
                             : Value());
      fillTokens(answers_.back());
      one(step, i++);
    }
  }

  int checked = 0;

 private:
  void one(const Value& step, size_t index) {
    const Value* method = step.find("method");
    const Value* path = step.find("path");
    if (method == nullptr || path == nullptr) return;
    const Value& answer = answers_.back();
    Target t = parsePath(path->asString(), answer);
    if (t.resource == nullptr || t.key.empty() || t.resource->type == nullptr) return;
    int64_t status = step.find("expect")->find("status") ? step.find("expect")->find("status")->asInt() : 0;
    bool written = status == 200 || status == 201;
    std::string_view verb = method->asString();
    if (verb == "DELETE") {
      live_.erase(t.key);
      lost_.insert(t.key);
      if (written && answer.find("kind") != nullptr && answer.find("kind")->asString() == t.resource->kind)
        keep(t, answer);
      return;
    }
    bool whole = answer.find("kind") != nullptr && answer.find("kind")->asString() == t.resource->kind;
    if (verb == "GET") {
      if (written && whole && answer.find("metadata")->find("name") != nullptr) keep(t, answer);
      return;
    }
    if (!t.subresource.empty() && t.subresource != "status") {
      live_.erase(t.key);
      lost_.insert(t.key);
      return;
    }
    bool ignored = step.find("ignore") != nullptr &&
                   step.find("ignore")->json().find("managedFields") != std::string::npos;
    std::string where = std::string(case_.find("name")->asString()) + " step " + std::to_string(index);
    // A setup whose answer is not compared may have had another effect than the recorded one.
    bool apply = contentType(step).starts_with("application/apply-patch+yaml");
    if (status == 413) return;
    api::MutableObject live = current(t);
    if (live != nullptr || (verb != "POST" ? apply && lost_.count(t.key) == 0 : true)) {
      bool complete = body(step).find("{{") == std::string::npos;
      if (complete && live != nullptr && !apply && contentType(step).find("patch") != std::string::npos) {
        patched(step, t, live, answer, status, where);
      }
      if (ignored || body(step).find("{{") != std::string::npos) {
      } else if (apply) {
        applied(step, t, live, answer, status, whole, where);
      } else if (written && whole) {
        updated(step, t, verb == "POST" ? nullptr : live, answer, where);
      }
    }
    if (written && t.query["dryRun"].empty()) {
      if (whole && step.find("only") == nullptr) {
        keep(t, answer);
      } else {
        forget(t);
      }
    }
  }

  static std::string contentType(const Value& step) {
    const Value* headers = step.find("headers");
    const Value* type = headers != nullptr ? headers->find("Content-Type") : nullptr;
    return std::string(type != nullptr ? type->asString() : "application/json");
  }

  // Whether the patch is refused as recorded, and what it makes of plain data.
  void patched(const Value& step, Target& t, const api::MutableObject& live, const Value& answer,
               int64_t status, const std::string& where) {
    std::string type = contentType(step);
    PatchKind kind = type == "application/json-patch+json"    ? PatchKind::kJson
                     : type == "application/merge-patch+json" ? PatchKind::kMerge
                                                              : PatchKind::kStrategicMerge;
    codec::StrictErrors strict;
    std::string validation = t.query["fieldValidation"];
    auto r = applyPatch(kind, *live, body(step), validation == "Ignore" ? nullptr : &strict,
                        validation == "Strict");
    checked++;
    if (status == 200) {
      if (step.find("only") != nullptr) return;
      ASSERT_TRUE(r.ok()) << where << " " << r.status().message();
      if (t.resource->kind != "ConfigMap") return;
      std::string text;
      codec::encodeJson(text, (*r)->data(), (*r)->type());
      auto v = Value::parse(text);
      for (const char* part : {"data", "binaryData", "immutable"}) {
        const Value* have = v->find(part);
        const Value* want = answer.find(part);
        EXPECT_EQ(have != nullptr ? have->json() : "", want != nullptr ? want->json() : "") << where;
      }
      return;
    }
    if (r.ok()) return;  // refused later: by validation, or for its names
    EXPECT_EQ(r.status().code(), status) << where << " " << r.status().message();
    const Value* message = answer.find("message");
    const Value* reason = answer.find("reason");
    EXPECT_EQ(r.status().reason(), reason != nullptr ? reason->asString() : "") << where;
    if (message != nullptr) {
      // The recorded texts hold the tokens of times and versions.
      auto plain = [](std::string_view m) {
        std::string out = std::regex_replace(std::string(m), std::regex("2026-01-01T00:00:00Z"), "<time>");
        return std::regex_replace(out, std::regex("\\\\u003c|\\\\u003e"), "");
      };
      EXPECT_EQ(plain(r.status().message()), plain(message->asString())) << where;
    }
  }

  FieldWriter writer(const Value& step, Target& t) {
    const Value* agent = step.find("agent");
    FieldWriter w;
    w.manager = managerOf(t.query["fieldManager"], agent != nullptr ? agent->asString() : "golden");
    w.subresource = t.subresource;
    w.now = {1767225600, 0};
    bool hasStatus = false;
    for (const auto& s : t.resource->subresources) hasStatus = hasStatus || s.name == "status";
    if (t.subresource == "status") {
      w.reset = {"spec"};
      if (t.resource->name == "deployments" || t.resource->name == "nodes")
        w.reset = {"spec", "metadata.labels"};
      if (t.resource->name == "pods")
        w.reset = {"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"};
    } else if (hasStatus) {
      w.reset = {"status"};
    }
    return w;
  }

  std::string body(const Value& step) {
    if (const Value* text = step.find("text")) return std::string(text->asString());
    if (const Value* v = step.find("body")) return v->json();
    return {};
  }

  void applied(const Value& step, Target& t, const api::MutableObject& live, const Value& answer,
               int64_t status, bool whole, const std::string& where) {
    codec::StrictErrors strict;
    auto r = serverSideApply(live.get(), *t.resource->type, body(step), t.query["force"] == "true",
                             writer(step, t), &strict);
    bool ours = status == 409 || status == 500;  // others may come from validation or admission
    if (status == 200 || status == 201) {
      if (!whole) return;
      checked++;
      ASSERT_TRUE(r.ok()) << where << ": " << r.status().message();
      EXPECT_EQ(entries(**r), entries(answer)) << where;
      if (t.resource->kind != "ConfigMap") return;
      const auto& m = (*r)->as<api::core_v1::ConfigMap>();
      api::MutableObject want = decode(answer, *t.resource->type);
      ASSERT_NE(want, nullptr);
      EXPECT_TRUE(m.data == want->as<api::core_v1::ConfigMap>().data) << where;
      EXPECT_TRUE(m.metadata.labels == want->meta().labels) << where;
      EXPECT_TRUE(m.metadata.annotations == want->meta().annotations) << where;
      EXPECT_TRUE(m.metadata.ownerReferences == want->meta().ownerReferences) << where;
    } else if (ours && answer.find("message") != nullptr) {
      std::string_view message = answer.find("message")->asString();
      if (message.find("Apply failed") == message.npos && message.find("failed to") == message.npos) return;
      checked++;
      ASSERT_FALSE(r.ok()) << where;
      EXPECT_EQ(r.status().code(), status) << where;
      EXPECT_EQ(r.status().message(), message) << where;
    }
  }

  void updated(const Value& step, Target& t, const api::MutableObject& live, const Value& answer,
               const std::string& where) {
    api::MutableObject o = decode(answer, *t.resource->type);
    if (o == nullptr) return;
    o->meta().managedFields.clear();
    std::string type = contentType(step);
    if (type.find("patch") != std::string::npos) {
      PatchKind kind = type == "application/json-patch+json"    ? PatchKind::kJson
                       : type == "application/merge-patch+json" ? PatchKind::kMerge
                                                                : PatchKind::kStrategicMerge;
      auto p = applyPatch(kind, *live, body(step), nullptr);
      if (!p.ok()) return;  // its body holds values of other answers
      o->meta().managedFields = (*p)->meta().managedFields;
    } else {
      Value given;
      if (const Value* edit = step.find("edit"); edit != nullptr && edit->find("from") != nullptr) {
        given = answers_[static_cast<size_t>(edit->find("from")->asInt())];
        if (edit->json().find("managedFields") != std::string::npos) return;
      } else if (auto parsed = Value::parse(body(step)); parsed.ok()) {
        given = *parsed;
      }
      Value* metadata = given.find("metadata");
      Value* fields = metadata != nullptr ? metadata->find("managedFields") : nullptr;
      if (fields != nullptr) {
        if (fields->isList() && fields->size() == 0) fields->push(Value::object());
        Value only = Value::object();
        only["metadata"]["managedFields"] = *fields;
        api::MutableObject given2 = decode(only, *t.resource->type);
        if (given2 == nullptr) return;
        o->meta().managedFields = given2->meta().managedFields;
      }
    }
    // What admission and strategies add to these is not the creator's.
    static const std::set<std::string_view> kAdded = {"namespaces", "pods", "nodes", "persistentvolumeclaims",
                                                      "leases"};
    if (live == nullptr && kAdded.count(t.resource->name) != 0) return;
    if (t.resource->name == "services" || t.resource->name == "daemonsets" || t.resource->name == "jobs")
      return;
    FieldWriter w = writer(step, t);
    std::string text = type.find("patch") == std::string::npos ? body(step) : std::string();
    w.body = text;
    updateManagedFields(live.get(), *o, w);
    checked++;
    EXPECT_EQ(entries(*o), entries(answer)) << where << " " << t.query["fieldManager"];
  }

  void keep(const Target& t, const Value& answer) {
    if (auto o = decode(answer, *t.resource->type)) {
      live_[t.key] = std::move(o);
      lost_.erase(t.key);
    } else {
      live_.erase(t.key);
      lost_.insert(t.key);
    }
  }

  void forget(const Target& t) {
    live_.erase(t.key);
    lost_.insert(t.key);
  }

  api::MutableObject current(const Target& t) {
    auto it = live_.find(t.key);
    if (it == live_.end()) return nullptr;
    auto o = convert(*it->second, *t.resource->type);
    return o.ok() ? *o : nullptr;
  }

  const Value& case_;
  std::vector<Value> answers_;
  std::map<std::string, api::MutableObject> live_;
  std::set<std::string> lost_;
};

TEST(Golden, ManagedFieldsAndApply) {
  std::string dir = shared() + "/golden/cases";
  if (!std::filesystem::exists(dir)) GTEST_SKIP() << "no recordings";
  const char* only = std::getenv("KM_GOLDEN_ONLY");
  int checked = 0;
  for (const char* area :
       {"apply", "patch", "protocol", "apps", "core", "pods", "services", "autoscaling", "batch"}) {
    for (const auto& f : std::filesystem::directory_iterator(dir + "/" + area)) {
      if (only != nullptr && f.path().string().find(only) == std::string::npos) continue;
      std::ifstream in(f.path());
      std::stringstream text;
      text << in.rdbuf();
      // Tokens of the recordings that would print with escapes: <uid:3>.
      static const std::regex kToken("<([a-z]+):([0-9]+)>");
      auto c = Value::parse(std::regex_replace(text.str(), kToken, "$1-$2"));
      if (!c.ok()) continue;
      Replay r(*c);
      r.run();
      checked += r.checked;
    }
  }
  RecordProperty("checked", checked);
  printf("checked %d steps\n", checked);
}

}  // namespace
}  // namespace km::object
