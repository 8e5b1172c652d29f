#include "client/indexer.h"

#include <mutex>

namespace km::client {

Indexer::Indexer() {
  addIndex(kNamespaceIndex, [](const Object& o) { return std::vector<std::string>{std::string(o.ns())}; });
}

void Indexer::link(Index& index, const Entry& entry) {
  for (std::string& value : index.function(*entry.second)) index.values[std::move(value)].insert(&entry);
}

void Indexer::unlink(Index& index, const Entry& entry) {
  for (const std::string& value : index.function(*entry.second)) {
    auto it = index.values.find(value);
    if (it == index.values.end()) continue;
    it->second.erase(&entry);
    if (it->second.empty()) index.values.erase(it);
  }
}

void Indexer::linkAll(const Entry& entry) {
  for (auto& [name, index] : indexes_) link(index, entry);
}

void Indexer::unlinkAll(const Entry& entry) {
  for (auto& [name, index] : indexes_) unlink(index, entry);
}

void Indexer::addIndex(std::string_view name, IndexFunction function) {
  std::unique_lock lock(mutex_);
  auto [it, fresh] = indexes_.try_emplace(std::string(name));
  if (!fresh) return;
  it->second.function = std::move(function);
  for (const Entry& entry : objects_) link(it->second, entry);
}

ObjectPtr Indexer::get(std::string_view key) const {
  std::shared_lock lock(mutex_);
  auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

std::vector<ObjectPtr> Indexer::list() const {
  std::shared_lock lock(mutex_);
  std::vector<ObjectPtr> out;
  out.reserve(objects_.size());
  for (const Entry& entry : objects_) out.push_back(entry.second);
  return out;
}

std::vector<ObjectPtr> Indexer::byIndex(std::string_view index, std::string_view value) const {
  std::shared_lock lock(mutex_);
  std::vector<ObjectPtr> out;
  auto it = indexes_.find(index);
  if (it == indexes_.end()) return out;
  auto entries = it->second.values.find(std::string(value));
  if (entries == it->second.values.end()) return out;
  out.reserve(entries->second.size());
  for (const Entry* entry : entries->second) out.push_back(entry->second);
  return out;
}

std::vector<std::string> Indexer::indexValues(std::string_view index) const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> out;
  auto it = indexes_.find(index);
  if (it == indexes_.end()) return out;
  for (const auto& [value, entries] : it->second.values) out.push_back(value);
  return out;
}

std::vector<std::string> Indexer::keys() const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> out;
  out.reserve(objects_.size());
  for (const Entry& entry : objects_) out.push_back(entry.first);
  return out;
}

size_t Indexer::size() const {
  std::shared_lock lock(mutex_);
  return objects_.size();
}

ObjectPtr Indexer::put(const ObjectPtr& object) {
  std::unique_lock lock(mutex_);
  auto [it, fresh] = objects_.try_emplace(object->key(), object);
  ObjectPtr before;
  if (!fresh) {
    unlinkAll(*it);
    before = std::move(it->second);
    it->second = object;
  }
  linkAll(*it);
  return before;
}

ObjectPtr Indexer::erase(std::string_view key) {
  std::unique_lock lock(mutex_);
  auto it = objects_.find(key);
  if (it == objects_.end()) return nullptr;
  unlinkAll(*it);
  ObjectPtr before = std::move(it->second);
  objects_.erase(it);
  return before;
}

}  // namespace km::client
