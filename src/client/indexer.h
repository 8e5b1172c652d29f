// Indexer: the objects of an informer, by key and by indexes. Readers share it with one writer; what they get are the
// published objects themselves, never copies.
#pragma once

#include <functional>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "api/object.h"

namespace km::client {

using api::Object;
using api::ObjectPtr;

// The values under which an object is found in an index; none: not in it. Pure and quick.
using IndexFunction = std::function<std::vector<std::string>(const Object& object)>;

// The index that every indexer has: by namespace ("" for cluster-scoped objects).
inline constexpr std::string_view kNamespaceIndex = "namespace";

// Any thread. Lists are in no particular order unless said so.
class Indexer {
 public:
  Indexer();

  // Objects that are there already are indexed at once. The same name again is ignored: callers that share an informer
  // agree on what a name means.
  void addIndex(std::string_view name, IndexFunction function);

  ObjectPtr get(std::string_view key) const;  // null if absent
  std::vector<ObjectPtr> list() const;        // sorted by key
  std::vector<ObjectPtr> byIndex(std::string_view index, std::string_view value) const;
  // The values that an index has now.
  std::vector<std::string> indexValues(std::string_view index) const;
  std::vector<std::string> keys() const;
  size_t size() const;

  // For the owner. Each returns what was there before.
  ObjectPtr put(const ObjectPtr& object);
  ObjectPtr erase(std::string_view key);

 private:
  using Objects = std::map<std::string, ObjectPtr, std::less<>>;
  using Entry = Objects::value_type;
  struct Index {
    IndexFunction function;
    std::unordered_map<std::string, std::unordered_set<const Entry*>> values;
  };
  static void link(Index& index, const Entry& entry);
  static void unlink(Index& index, const Entry& entry);
  void linkAll(const Entry& entry);
  void unlinkAll(const Entry& entry);

  mutable std::shared_mutex mutex_;
  Objects objects_;
  std::map<std::string, Index, std::less<>> indexes_;
};

}  // namespace km::client
