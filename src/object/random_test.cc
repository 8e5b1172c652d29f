// Random objects of every kind through JSON, YAML and protobuf and back.
#include <gtest/gtest.h>

#include <random>

#include "api/object.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/list.h"
#include "codec/ops.h"
#include "codec/proto.h"
#include "codec/yaml.h"
#include "object/all_types_testing.h"
#include "object/diff.h"
#include "object/shape.h"

namespace km::object {
namespace {

using codec::Field;
using codec::Form;
using codec::Kind;
using codec::ListBase;
using codec::Shape;
using codec::String;
using codec::TypeInfo;

class Filler {
 public:
  explicit Filler(uint32_t seed) : rng_(seed) {}

  void fill(void* p, const TypeInfo& t, int depth) {
    if (t.form == Form::kOrArray || t.form == Form::kOrStringArray) {
      // One of the two; nested schemas end somewhere.
      const Field& f = t.fields[depth > 3 || rng_() % 2 ? 1 : 0];
      field(p, f, depth);
      return;
    }
    if (t.form == Form::kOrBool) {
      *static_cast<bool*>(codec::at(p, *t.find("allows"))) = true;
      return;
    }
    for (const Field& f : t) {
      if (rng_() % 3 != 0) field(p, f, depth);
    }
  }

  // Other values in some of the fields that have one.
  void change(void* p, const TypeInfo& t) {
    if (t.form != Form::kObject) return;
    for (const Field& f : t) {
      if (codec::isEmptyField(p, f)) continue;
      void* at = codec::at(p, f);
      if (f.shape == Shape::kList || f.shape == Shape::kMap) {
        auto& list = *static_cast<ListBase*>(at);
        uint32_t size = codec::sizeOf(f.kind, f.type), head = f.shape == Shape::kMap ? sizeof(String) : 0;
        uint32_t stride = head != 0 ? codec::mapEntrySize(size) : size;
        for (uint32_t i = 0; i < list.size_; i++) {
          char* e = static_cast<char*>(list.data_) + i * stride + head;
          if (f.kind == Kind::kMessage) {
            change(e, *f.type);
          } else if (f.kind == Kind::kString && rng_() % 8 == 0) {
            reinterpret_cast<String*>(e)->assign(text());
          }
        }
      } else if (f.kind == Kind::kMessage) {
        change(f.shape == Shape::kOpt ? *static_cast<void**>(at) : at, *f.type);
      } else if (rng_() % 8 == 0) {
        value(at, f, f.shape, 0);
      }
    }
  }

 private:
  std::string text() {
    static const char* kTexts[] = {
        "a",
        "true",
        "1",
        "x: y",
        "- z",
        " lead",
        "trail ",
        "multi\nline\n",
        "tab\t",
        "\xC3\xA9",
        "<&>",
        "2001-01-01",
        "~",
        "null",
        "1e3",
        "0x1",
        "\"q\"",
        "'s'",
        "a #b",
        "%",
        "@at",
        "1:20",
        "a rather long text that does not fit in place and goes on behind the eightieth column of a line"};
    return kTexts[rng_() % (sizeof kTexts / sizeof *kTexts)];
  }

  template <typename T>
  void put(void* p, Shape shape, T v) {
    if (shape == Shape::kOpt) {
      *static_cast<std::optional<T>*>(p) = std::move(v);
    } else {
      *static_cast<T*>(p) = std::move(v);
    }
  }

  void field(void* object, const Field& f, int depth) {
    void* p = codec::at(object, f);
    if (f.shape == Shape::kList || f.shape == Shape::kMap) {
      if (f.kind == Kind::kMessage && depth > 4) return;
      auto& list = *static_cast<ListBase*>(p);
      uint32_t size = codec::sizeOf(f.kind, f.type), n = rng_() % 3;
      for (uint32_t i = 0; i < n; i++) {
        if (f.shape == Shape::kList) {
          value(list.append(size), f, Shape::kPlain, depth);
          continue;
        }
        uint32_t stride = codec::mapEntrySize(size);
        char* e = static_cast<char*>(list.insert(i, stride));
        reinterpret_cast<String*>(e)->assign("key" + std::to_string(i));
        value(e + sizeof(String), f, Shape::kPlain, depth);
      }
      return;
    }
    if (f.kind == Kind::kMessage && f.shape == Shape::kOpt) {
      if (depth > 4) return;
      void*& box = *static_cast<void**>(p);
      box = codec::boxNew(*f.type);
      fill(box, *f.type, depth + 1);
      return;
    }
    value(p, f, f.shape, depth);
  }

  void value(void* p, const Field& f, Shape shape, int depth) {
    auto number = static_cast<int32_t>(rng_() % 1000) - 300;
    switch (f.kind) {
      case Kind::kBool:
        return put(p, shape, rng_() % 2 == 0);
      case Kind::kInt32:
        return put(p, shape, number);
      case Kind::kUint32:
        return put(p, shape, static_cast<uint32_t>(rng_() % 1000));
      case Kind::kInt64:
        return put(p, shape, static_cast<int64_t>(number) * 10000000019);
      case Kind::kUint64:
        return put(p, shape, static_cast<uint64_t>(rng_()));
      case Kind::kDouble:
        return put(p, shape, number * 0.25);
      case Kind::kString:
        return put(p, shape, String(text()));
      case Kind::kBytes:
        return put(p, shape, String(std::string("\0\xff\x80z", 1 + rng_() % 4)));
      case Kind::kQuantity: {
        static const char* kTexts[] = {"0", "1", "100m", "1Gi", "1536Mi", "1e3", "5k", "250u", "-3"};
        return put(p, shape, *codec::Quantity::parse(kTexts[rng_() % 9]));
      }
      case Kind::kTime:
        return put(p, shape, codec::Time(1700000000 + number));
      case Kind::kMicroTime:
        return put(p, shape, codec::MicroTime(WallTime{1700000000, 123456000}));
      case Kind::kDuration:
        return put(p, shape, codec::GoDuration{number * 1000000000LL});
      case Kind::kIntOrString:
        return put(p, shape, rng_() % 2 ? codec::IntOrString(number) : codec::IntOrString(text()));
      case Kind::kRawJson:
        return put(p, shape, codec::RawJson{R"({"a":[1,"x",null],"b":{}})"});
      case Kind::kMessage:
        return fill(p, *f.type, depth + 1);
    }
  }

  std::mt19937 rng_;
};

TEST(RandomObjects, EveryKindThroughEveryEncoding) {
  uint32_t seed = 1;
  for (const api::Resource& r : api::builtinResources()) {
    if (r.type == nullptr) continue;
    for (int round = 0; round < 12; round++) {
      auto o = api::Object::make(*r.type);
      Filler(seed++).fill(o->data(), *r.type, 0);
      std::string json;
      codec::encodeJson(json, o->data(), *r.type);
      auto back = api::Object::make(*r.type);
      codec::StrictErrors strict;
      Status s = codec::decodeJson(json, back->data(), *r.type, &strict);
      ASSERT_TRUE(s.ok()) << r.kind << " " << s.message() << "\n" << json;
      EXPECT_TRUE(strict.errors.empty()) << r.kind << " " << strict.errors[0];
      std::string again;
      codec::encodeJson(again, back->data(), *r.type);
      ASSERT_EQ(again, json) << r.kind;
      EXPECT_TRUE(sameText(o->data(), back->data(), *r.type)) << r.kind << "\n" << json;

      auto yaml = codec::jsonToYaml(json);
      ASSERT_TRUE(yaml.ok());
      auto fromYaml = codec::yamlToJson(*yaml);
      ASSERT_TRUE(fromYaml.ok()) << r.kind << " " << fromYaml.status().message() << "\n" << *yaml;
      auto viaYaml = api::Object::make(*r.type);
      s = codec::decodeJson(*fromYaml, viaYaml->data(), *r.type);
      ASSERT_TRUE(s.ok()) << r.kind << " " << s.message() << "\n" << *yaml;
      again.clear();
      codec::encodeJson(again, viaYaml->data(), *r.type);
      ASSERT_EQ(again, json) << r.kind << "\n" << *yaml;

      std::string proto;
      codec::encodeEnveloped(proto, o->data(), *r.type, r.type->apiVersion);
      auto envelope = codec::openEnvelope(proto);
      ASSERT_TRUE(envelope.ok());
      auto viaProto = api::Object::make(*r.type);
      s = codec::decodeProto(envelope->raw, viaProto->data(), *r.type);
      ASSERT_TRUE(s.ok()) << r.kind << " " << s.message();
      again.clear();
      codec::encodeJson(again, viaProto->data(), *r.type);
      ASSERT_EQ(again, json) << r.kind;
      // A copy is equal, and a comparison with itself finds nothing.
      auto copy = o->clone();
      EXPECT_TRUE(codec::equal(o->data(), copy->data(), *r.type));
      EXPECT_TRUE(compareObjects(*o, *copy).same());
    }
  }
}

// The field set of a new object is known by its shape (managed_fields.cc stands on it).
TEST(RandomObjects, EqualShapesOwnEqualFields) {
  uint32_t seed = 1;
  int equal = 0, different = 0;
  auto owned = [](const api::Object& o) {
    Comparison c = compareObjects(*api::Object::make(o.type()), o);
    return c.broken ? "broken" : c.modified.unite(c.added).json();
  };
  for (const api::Resource& r : api::builtinResources()) {
    if (r.type == nullptr) continue;
    for (int round = 0; round < 30; round++) {
      auto a = api::Object::make(*r.type);
      Filler filler(seed++);
      filler.fill(a->data(), *r.type, round % 5);
      a->meta().managedFields.clear();
      auto b = a->clone();
      filler.change(b->data(), *r.type);
      std::string x, y;
      if (!appendShape(x, a->data(), *r.type) || !appendShape(y, b->data(), *r.type)) continue;
      if (x != y) {
        different++;
        continue;
      }
      equal++;
      ASSERT_EQ(owned(*a), owned(*b)) << r.kind;
    }
  }
  EXPECT_GT(equal, 300);
  EXPECT_GT(different, 100);
}

}  // namespace
}  // namespace km::object
