// Adoption and release: which of some objects belong to an owner, making it so where it is not yet.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "api/selector.h"
#include "controllers/objects.h"

namespace km::controllers {

// Writes the owner into the object / takes it out. Not found and a changed uid are no errors of release.
Status adopt(client::Client& client, const codec::TypeInfo& type, const ObjectMeta& object, const OwnerReference& owner);
Status release(client::Client& client, const codec::TypeInfo& type, const ObjectMeta& object, std::string_view ownerUid);

// Of `candidates` those that the owner controls: those that match and have its reference, or were adopted just now. Objects
// that do not match any more are released. `canAdopt` is asked once, before the first adoption.
template <typename T>
Result<std::vector<std::shared_ptr<const T>>> claim(client::Client& client, const ObjectMeta& owner,
                                                    const OwnerReference& ref, const api::LabelSelector& selector,
                                                    const std::vector<std::shared_ptr<const T>>& candidates,
                                                    const std::function<Status()>& canAdopt) {
  std::vector<std::shared_ptr<const T>> claimed;
  Status failed;
  std::optional<Status> mayAdopt;
  for (const auto& o : candidates) {
    const ObjectMeta& meta = o->metadata;
    bool matches = selector.matches(meta.labels);
    if (const OwnerReference* current = controllerOf(meta)) {
      if (current->uid != owner.uid) continue;
      if (matches) {
        claimed.push_back(o);
      } else if (!owner.deletionTimestamp) {
        if (Status s = release(client, T::kType, meta, owner.uid); !s.ok()) failed = s;
      }
      continue;
    }
    if (owner.deletionTimestamp || !matches || meta.deletionTimestamp || meta.namespace_ != owner.namespace_) continue;
    if (!mayAdopt) mayAdopt = canAdopt();
    Status s = mayAdopt->ok() ? adopt(client, T::kType, meta, ref) : *mayAdopt;
    if (s.ok()) {
      claimed.push_back(o);
    } else if (s.code() != 404) {
      failed = s;
    }
  }
  if (!failed.ok()) return failed;
  return claimed;
}

// The check before adoption: the owner is still there, the same, and not being deleted, by the server's word.
template <typename T>
Status recheckOwner(client::Client& client, const ObjectMeta& owner) {
  auto fresh = getObject<T>(client, owner.namespace_, owner.name);
  if (!fresh.ok()) return fresh.status();
  if ((*fresh)->metadata.uid != owner.uid) {
    return errors::failed("original " + std::string(T::kType.name) + " " + keyOf(owner) + " is gone: got uid " +
                          (*fresh)->metadata.uid.str() + ", wanted " + owner.uid.str());
  }
  if ((*fresh)->metadata.deletionTimestamp) {
    return errors::failed(keyOf(owner) + " has just been deleted at " + (*fresh)->metadata.deletionTimestamp->str());
  }
  return {};
}

}  // namespace km::controllers
