#include "object/managers.h"

namespace km::object {
namespace {

const FieldPath& replicasPath() {
  static const FieldPath kPath = {PathElement::field("spec"), PathElement::field("replicas")};
  return kPath;
}

FieldSet replicasSet() {
  FieldSet s;
  s.insert(replicasPath());
  return s;
}

}  // namespace

void scaleFieldsFromParent(const api::Object& parent, api::Object& scale) {
  scale.meta().managedFields.clear();
  auto managers = decodeManagers(parent.meta().managedFields);
  if (!managers.ok()) return;
  Managers out;
  for (auto& [id, m] : *managers) {
    if (typeInVersion(parent.type(), m.apiVersion) == nullptr || !m.set.has(replicasPath())) continue;
    m.apiVersion = scale.apiVersion();
    m.set = replicasSet();
    out.emplace(id, std::move(m));
  }
  scale.meta().managedFields = encodeManagers(out);
}

void scaleFieldsToParent(const api::Object& scale, api::Object& parent) {
  auto before = decodeManagers(parent.meta().managedFields);
  auto after = decodeManagers(scale.meta().managedFields);
  if (!before.ok() || !after.ok()) return;
  Managers out;
  for (auto& [id, m] : *before) {
    if (typeInVersion(parent.type(), m.apiVersion) == nullptr) continue;
    // An updater's entry is known by its version, which is another one there: its share of the replicas moves
    // to an entry of its own.
    if (m.set.has(replicasPath()) && after->erase(id) == 0) m.set = m.set.subtract(replicasSet());
    if (!m.set.empty()) out.emplace(id, std::move(m));
  }
  for (auto& [id, m] : *after) {
    m.time = {};
    if (auto it = before->find(id); it != before->end()) m.time = it->second.time;
    m.apiVersion = parent.apiVersion();
    m.set = replicasSet();
    out.insert_or_assign(id, std::move(m));
  }
  parent.meta().managedFields = encodeManagers(out);
}

}  // namespace km::object
