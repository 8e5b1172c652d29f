#include "object/managed_fields.h"

#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "api/field_error.h"
#include "codec/ops.h"
#include "object/diff.h"
#include "object/managers.h"
#include "object/shape.h"

namespace km::object {

std::string managerOf(std::string_view fieldManager, std::string_view userAgent) {
  if (!fieldManager.empty()) return std::string(fieldManager);
  std::string name(userAgent.substr(0, userAgent.find('/')));
  // At most 128 characters; cut between characters.
  size_t characters = 0;
  for (size_t i = 0; i < name.size(); i++) {
    if ((static_cast<unsigned char>(name[i]) & 0xC0) == 0x80) continue;
    if (++characters > 128) {
      name.resize(i);
      break;
    }
  }
  return name;
}

namespace {

// [{}] asks for a reset.
bool asksForReset(const ManagedFieldsList& list) {
  return list.size() == 1 && codec::isZero(&list[0], api::meta_v1::ManagedFieldsEntry::kType);
}

Managers managersOf(const api::Object* live) {
  if (live == nullptr) return {};
  auto m = decodeManagers(live->meta().managedFields);
  return m.ok() ? std::move(m).value() : Managers();
}

// What creators own, by shape: objects made from one template have one.
class OwnedByShape {
 public:
  std::optional<codec::String> find(const std::string& shape) {
    std::shared_lock lock(mutex_);
    auto it = known_.find(shape);
    if (it == known_.end()) return std::nullopt;
    return it->second;
  }
  void put(std::string shape, codec::String fields) {
    std::lock_guard lock(mutex_);
    bytes_ += shape.size() + fields.size();
    if (bytes_ > kMaxBytes) {
      known_.clear();
      bytes_ = shape.size() + fields.size();
    }
    known_[std::move(shape)] = std::move(fields);
  }

 private:
  static constexpr size_t kMaxBytes = 1 << 20;
  std::shared_mutex mutex_;
  std::unordered_map<std::string, codec::String> known_;
  size_t bytes_ = 0;
};

// A creation of which nobody owned anything before: known from the shape, or found once for all of that shape.
bool createdByShape(api::Object& o, const FieldWriter& w) {
  static OwnedByShape known;
  if (!w.body.empty()) return false;  // it names empty lists, which the object does not tell
  std::string shape = fmt::format("{}\n{}\n", static_cast<const void*>(&o.type()), fmt::join(w.reset, "\n"));
  if (!appendShape(shape, o.data(), o.type())) return false;
  std::optional<codec::String> fields = known.find(shape);
  if (!fields) {
    Managers managers;
    if (!updateManagers(managers, nullptr, o, w, w.manager)) return false;
    fields.emplace(managers.empty() ? std::string() : managers.begin()->second.set.json());
    known.put(std::move(shape), *fields);
  }
  if (fields->empty()) return true;
  auto& e = o.meta().managedFields.add();
  e.manager = w.manager.empty() ? "unknown" : w.manager;
  e.operation = "Update";
  e.apiVersion = o.apiVersion();
  e.fieldsType = "FieldsV1";
  e.time = codec::Time(w.now);
  e.fieldsV1.text = std::move(*fields);
  return true;
}

}  // namespace

void updateManagedFields(const api::Object* live, api::Object& o, const FieldWriter& w) {
  ManagedFieldsList given = std::move(o.meta().managedFields);
  o.meta().managedFields.clear();
  if (live == nullptr && given.empty() && w.subresource.empty() && createdByShape(o, w)) return;
  Managers managers;
  bool fromLive = !w.subresource.empty();
  if (!fromLive && !asksForReset(given)) {
    fromLive = live != nullptr && given == live->meta().managedFields;
    if (!fromLive) {
      auto decoded = decodeManagers(given);
      if (decoded.ok() && !decoded->empty()) {
        managers = std::move(decoded).value();
      } else {
        fromLive = true;
      }
    }
  }
  if (fromLive) managers = managersOf(live);
  // An object that is not tracked stays so until somebody applies it.
  if (managers.empty() && live != nullptr && !live->meta().uid.empty()) return;
  if (!updateManagers(managers, live, o, w, w.manager)) return;
  o.meta().managedFields = encodeManagers(managers);
}

namespace {

// The characters of UTF-8 text, each with the byte that it starts at.
template <typename F>
void eachCharacter(std::string_view text, F f) {
  for (size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t c = size == 1 ? lead : lead & (0xFF >> (size + 1));
    for (size_t k = 1; k < size && i + k < text.size(); k++) c = c << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    f(c, i);
    i += size;
  }
}

// Go's unicode.IsPrint, as far as names of programs go.
bool isPrintable(uint32_t c) {
  bool control = c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD || (c >= 0x2028 && c <= 0x202F) || c == 0xFEFF;
  bool space = c == 0x1680 || (c >= 0x2000 && c <= 0x200F) || (c >= 0x205F && c <= 0x206F) || c == 0x3000;
  return !control && !space;
}

}  // namespace

void validateManagerName(std::string_view manager, const api::Path& path, api::FieldErrors& errors) {
  if (manager.size() > 128) errors.tooLong(path, 128);
  eachCharacter(manager, [&](uint32_t c, size_t at) {
    if (!isPrintable(c)) errors.invalid(path, manager, fmt::format("invalid character U+{:04X} (at position {})", c, at));
  });
}

void validateManagedFields(const api::meta_v1::ObjectMeta& meta, const api::Path& path, api::FieldErrors& errors) {
  size_t i = 0;
  for (const auto& e : meta.managedFields) {
    api::Path at = path.index(i++);
    if (e.operation != "Apply" && e.operation != "Update") {
      errors.invalid(at.child("operation"), e.operation.view(), "must be `Apply` or `Update`");
    }
    if (!e.fieldsType.empty() && e.fieldsType != "FieldsV1") {
      errors.invalid(at.child("fieldsType"), e.fieldsType.view(), "must be `FieldsV1`");
    }
    validateManagerName(e.manager, at.child("manager"), errors);
    if (e.subresource.size() > 256) errors.tooLong(at.child("subresource"), 256);
  }
}

bool sameExceptManagedFieldsTime(const api::Object& a, const api::Object& b) {
  if (&a.type() != &b.type()) return false;
  const auto& x = a.meta().managedFields;
  const auto& y = b.meta().managedFields;
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); i++) {
    for (const codec::Field& f : api::meta_v1::ManagedFieldsEntry::kType) {
      if (f.name != "time" && !codec::equalField(&x[i], &y[i], f)) return false;
    }
  }
  for (const codec::Field& f : a.type()) {
    if (f.type != &api::meta_v1::ObjectMeta::kType || f.name != "metadata") {
      if (!codec::equalField(a.data(), b.data(), f)) return false;
      continue;
    }
    for (const codec::Field& m : api::meta_v1::ObjectMeta::kType) {
      if (m.name == "managedFields" || m.name == "resourceVersion") continue;
      if (!codec::equalField(codec::at(a.data(), f), codec::at(b.data(), f), m)) return false;
    }
  }
  return true;
}

}  // namespace km::object
