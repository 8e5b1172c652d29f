#include "registry/defaults.h"

#include <charconv>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "codec/list.h"
#include "codec/ops.h"

namespace km::registry {
namespace {

using codec::Field;
using codec::Kind;
using codec::ListBase;
using codec::Shape;
using codec::TypeInfo;

// What there is to do in a value of one type.
struct Plan {
  void (*apply)(void*) = nullptr;
  std::vector<const Field*> constants;
  std::vector<const Field*> parts;  // those with something to do below
  bool empty() const { return apply == nullptr && constants.empty() && parts.empty(); }
};

// Constants that the schema names instead of writing them.
std::string_view constantText(std::string_view json) {
  if (json == "ref(AzureDataDiskCachingReadWrite)") return "\"ReadWrite\"";
  if (json == "ref(AzureSharedBlobDisk)") return "\"Shared\"";
  return json;
}

template <typename T>
void put(void* place, Shape shape, T value) {
  if (shape == Shape::kOpt) {
    auto& o = *static_cast<std::optional<T>*>(place);
    if (!o) o = std::move(value);
  } else {
    *static_cast<T*>(place) = std::move(value);
  }
}

void setConstant(void* value, const Field& f) {
  if (!codec::isEmptyField(value, f)) return;
  std::string_view json = constantText(f.marks->defaultJson);
  void* place = codec::at(value, f);
  int64_t n = 0;
  std::from_chars(json.data(), json.data() + json.size(), n);
  switch (f.kind) {
    case Kind::kBool: return put(place, f.shape, json == "true");
    case Kind::kInt32: return put(place, f.shape, static_cast<int32_t>(n));
    case Kind::kInt64: return put(place, f.shape, n);
    case Kind::kString:
      if (json.size() >= 2 && json.front() == '"') put(place, f.shape, codec::String(json.substr(1, json.size() - 2)));
      return;
    default: return;  // no other kind has a constant default
  }
}

class Plans {
 public:
  Plans() {
    for (auto rules : {coreDefaults(), podDefaults(), workloadDefaults(), otherDefaults()}) {
      for (const TypeDefault& d : rules) rules_[d.type] = d.apply;
    }
  }

  const Plan& of(const TypeInfo& t) {
    {
      std::shared_lock lock(mutex_);
      auto it = plans_.find(&t);
      if (it != plans_.end()) return *it->second;
    }
    std::unique_lock lock(mutex_);
    return make(t);
  }

 private:
  const Plan& make(const TypeInfo& t) {
    auto [it, added] = plans_.try_emplace(&t);
    if (!added) return *it->second;
    it->second = std::make_unique<Plan>();
    Plan& plan = *it->second;
    if (auto rule = rules_.find(&t); rule != rules_.end()) plan.apply = rule->second;
    for (const Field& f : t) {
      if (f.marks != nullptr && f.marks->defaultJson != nullptr && f.shape != Shape::kList && f.shape != Shape::kMap) {
        plan.constants.push_back(&f);
      }
      // A type that contains itself (schemas) is seen as empty while it is being made: such types have no defaults.
      if (f.kind == Kind::kMessage && !make(*f.type).empty()) plan.parts.push_back(&f);
    }
    return plan;
  }

  std::shared_mutex mutex_;
  std::unordered_map<const TypeInfo*, void (*)(void*)> rules_;
  std::unordered_map<const TypeInfo*, std::unique_ptr<Plan>> plans_;
};

Plans& plans() {
  static Plans all;
  return all;
}

void walk(void* value, const TypeInfo& t) {
  const Plan& plan = plans().of(t);
  if (plan.apply != nullptr) plan.apply(value);
  for (const Field* f : plan.constants) setConstant(value, *f);
  for (const Field* f : plan.parts) {
    void* place = codec::at(value, *f);
    switch (f->shape) {
      case Shape::kPlain: walk(place, *f->type); break;
      case Shape::kOpt:
        if (void* p = *static_cast<void**>(place)) walk(p, *f->type);
        break;
      case Shape::kList: {
        auto& list = *static_cast<ListBase*>(place);
        for (uint32_t i = 0; i < list.size_; i++) walk(static_cast<char*>(list.data_) + i * f->type->size, *f->type);
        break;
      }
      case Shape::kMap: {
        auto& map = *static_cast<ListBase*>(place);
        uint32_t entry = codec::mapEntrySize(f->type->size);
        for (uint32_t i = 0; i < map.size_; i++) {
          walk(static_cast<char*>(map.data_) + i * entry + sizeof(codec::String), *f->type);
        }
        break;
      }
    }
  }
}

}  // namespace

void applyDefaults(void* value, const TypeInfo& t) { walk(value, t); }
void applyDefaults(api::Object& o) { walk(o.data(), o.type()); }

}  // namespace km::registry
