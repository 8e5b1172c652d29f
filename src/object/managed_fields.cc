#include "object/managed_fields.h"

#include <fmt/format.h>

#include "api/field_error.h"
#include "codec/ops.h"
#include "object/diff.h"
#include "object/managers.h"

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

}  // namespace

void updateManagedFields(const api::Object* live, api::Object& o, const FieldWriter& w) {
  ManagedFieldsList given = std::move(o.meta().managedFields);
  o.meta().managedFields.clear();
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

void validateManagedFields(const api::Object& o, api::FieldErrors& errors) {
  api::Path path = api::Path("metadata").child("managedFields");
  size_t i = 0;
  for (const auto& e : o.meta().managedFields) {
    api::Path at = path.index(i++);
    if (e.operation != "Apply" && e.operation != "Update") {
      errors.invalid(at.child("operation"), e.operation.view(), "must be `Apply` or `Update`");
    }
    if (!e.fieldsType.empty() && e.fieldsType != "FieldsV1") {
      errors.invalid(at.child("fieldsType"), e.fieldsType.view(), "must be `FieldsV1`");
    }
    if (e.manager.size() > 128) errors.tooLong(at.child("manager"), 128);
    for (unsigned char c : e.manager.view()) {
      if (c < 0x20 || c == 0x7f) {
        errors.invalid(at.child("manager"), e.manager.view(), "should only contain printable characters");
        break;
      }
    }
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
