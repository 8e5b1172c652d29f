// Holds the generated field tables against the table of facts, row by row (KM_FACTS, or ../shared/api-facts
// beside the source tree).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "api/object.h"
#include "base/strings.h"
#include "object/all_types_testing.h"

namespace km::object {
namespace {

using codec::Field;
using codec::Kind;
using codec::ListKind;
using codec::Shape;
using codec::TypeInfo;

std::string directory() {
  const char* set = std::getenv("KM_FACTS");
  if (set != nullptr) return set;
  const char* shared = std::getenv("KM_SHARED");
  return shared != nullptr ? std::string(shared) + "/api-facts" : "../shared/api-facts";
}

std::string wireOf(Kind k) {
  switch (k) {
    case Kind::kBool:
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kUint32:
    case Kind::kUint64:
      return "varint";
    case Kind::kDouble:
      return "fixed64";
    default:
      return "bytes";
  }
}

std::set<std::string> words(std::string_view text) {
  std::set<std::string> out;
  for (std::string_view w : split(text, ' ')) {
    if (!w.empty() && w != "-") out.emplace(w);
  }
  return out;
}

class Checker {
 public:
  int rows = 0;
  std::set<const Field*> seen;

  void row(const TypeInfo& t, const std::vector<std::string_view>& c) {
    std::string where = std::string(t.apiVersion) + " " + std::string(t.name) + "." + std::string(c[1]);
    const Field* f = t.find(c[1]);
    ASSERT_NE(f, nullptr) << where;
    seen.insert(f);
    rows++;
    if (c[3] != "-") {
      EXPECT_EQ(std::to_string(f->tag), c[3]) << where;
    }
    if (c[4] != "-" && f->shape == Shape::kPlain) {
      EXPECT_EQ(wireOf(f->kind), c[4].substr(0, c[4].find(','))) << where;
    }
    auto flags = words(replaceAll(c[5], ",", " "));
    // An optional raw value is one held by value that is left out when empty.
    if (f->kind == Kind::kRawJson && c[2].starts_with("*")) return;
    EXPECT_EQ((f->flags & codec::kOmitEmpty) != 0, flags.count("omitempty") != 0) << where;
    EXPECT_EQ((f->flags & codec::kOmitZero) != 0, flags.count("omitzero") != 0) << where;
    shape(*f, c[2], where);
    marks(*f, words(replaceAll(c[6], ";", " ")), where);
  }

 private:
  static void shape(const Field& f, std::string_view go, const std::string& where) {
    if (f.kind == Kind::kRawJson) return;
    if (go.starts_with("*") || go.starts_with("[]") || go.starts_with("map[")) {
      Shape want = go.starts_with("*") ? Shape::kOpt : go.starts_with("[]") ? Shape::kList : Shape::kMap;
      if (go == "[]byte") want = Shape::kPlain;
      EXPECT_EQ(static_cast<int>(f.shape), static_cast<int>(want)) << where << " " << go;
    }
    static const std::map<std::string_view, Kind> kKinds = {{"string", Kind::kString},
                                                            {"bool", Kind::kBool},
                                                            {"int32", Kind::kInt32},
                                                            {"int64", Kind::kInt64},
                                                            {"[]byte", Kind::kBytes},
                                                            {"metav1.Time", Kind::kTime},
                                                            {"metav1.MicroTime", Kind::kMicroTime},
                                                            {"resource.Quantity", Kind::kQuantity},
                                                            {"intstr.IntOrString", Kind::kIntOrString},
                                                            {"metav1.Duration", Kind::kDuration}};
    if (go.starts_with("*")) go.remove_prefix(1);
    if (auto it = kKinds.find(go); it != kKinds.end()) {
      EXPECT_EQ(static_cast<int>(f.kind), static_cast<int>(it->second)) << where << " " << go;
    }
  }

  static void marks(const Field& f, const std::set<std::string>& want, const std::string& where) {
    static const codec::FieldMarks kNone;
    const codec::FieldMarks& m = f.marks != nullptr ? *f.marks : kNone;
    std::string keys;
    for (const std::string& w : want) {
      auto kv = cut(w, '=');
      std::string_view key = kv ? kv->first : std::string_view(w),
                       value = kv ? kv->second : std::string_view();
      if (key == "listType") {
        ListKind kind = value == "atomic" ? ListKind::kAtomic
                        : value == "set"  ? ListKind::kSet
                                          : ListKind::kMap;
        EXPECT_EQ(static_cast<int>(m.listKind), static_cast<int>(kind)) << where;
      } else if (key == "mapType" && value == "atomic") {
        EXPECT_EQ(static_cast<int>(m.listKind), static_cast<int>(ListKind::kAtomic)) << where;
      } else if (key == "listMapKey") {
        auto have = m.listKeys != nullptr ? split(m.listKeys, ',') : std::vector<std::string_view>();
        EXPECT_NE(std::find(have.begin(), have.end(), value), have.end()) << where;
      } else if (key == "patchMergeKey") {
        EXPECT_EQ(m.patchKey != nullptr ? m.patchKey : "", value) << where;
      } else if (key == "patchStrategy") {
        EXPECT_EQ(m.patchMerge, value.find("merge") != value.npos) << where;
        EXPECT_EQ(m.patchRetainKeys, value.find("retainKeys") != value.npos) << where;
      } else if (key == "required") {
        EXPECT_TRUE((f.flags & codec::kRequired) != 0) << where;
      }
    }
  }
};

TEST(Facts, TablesAgree) {
  if (!std::filesystem::exists(directory())) GTEST_SKIP() << "no facts";
  auto types = allTypes();
  Checker check;
  for (const auto& [name, t] : types) {
    auto parts = split(name, '.');
    std::string package(parts[parts.size() - 3]), version(parts[parts.size() - 2]);
    std::ifstream in(directory() + "/" + package + "_" + version + ".tsv");
    ASSERT_TRUE(in) << name;
    std::string line;
    std::set<std::string> json;
    bool found = false, embeds = false;
    while (std::getline(in, line)) {
      auto c = split(line, '\t');
      if (c.size() < 7 || c[0] != t->name) continue;
      found = true;
      if (c[1] == "-" || c[2] == "metav1.TypeMeta") {
        embeds = embeds || c[2] != "metav1.TypeMeta";
        continue;
      }
      if (t->form != codec::Form::kObject) continue;
      json.emplace(c[1]);
      check.row(*t, c);
    }
    // Unions and lists that are messages in protobuf only have other rows than fields.
    if (t->form != codec::Form::kObject || !found || embeds) continue;
    for (const Field& f : *t) EXPECT_EQ(json.count(std::string(f.name)), 1u) << name << "." << f.name;
  }
  EXPECT_GT(check.rows, 1500);
}

}  // namespace
}  // namespace km::object
