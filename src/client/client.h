// Client: how every part speaks to the API server. Two transports implement it: HTTPS (client/http_client.h), and a
// function call through the server's filters (apiserver/), which passes objects without encoding them. A part is written
// against this header and runs on either.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/resource.h"
#include "base/result.h"

namespace km::client {

using api::ObjectPtr;

// What a call is about. `ns` is empty for cluster-scoped resources and for calls across all namespaces.
struct Target {
  const api::Resource* resource = nullptr;
  std::string ns;
  std::string name;         // empty for create, list, watch, deletecollection
  std::string subresource;  // "status", "scale", ... or empty
};

// The target of a built-in type, found by its TypeInfo: target(core_v1::Pod::kType, "ns", "name").
Target target(const codec::TypeInfo& type, std::string_view ns = "", std::string_view name = "",
              std::string_view subresource = "");

struct ListOptions {
  std::string labelSelector;
  std::string fieldSelector;
  std::string resourceVersion;       // "" most recent, "0" any, "N" not older (or as resourceVersionMatch says)
  std::string resourceVersionMatch;
  int64_t limit = 0;
  std::string continueToken;
};

struct WriteOptions {
  std::string fieldManager;
  bool dryRun = false;
  bool force = false;  // server-side apply only
};

struct DeleteOptions {
  std::optional<int64_t> gracePeriodSeconds;
  std::string propagationPolicy;     // "", "Orphan", "Background", "Foreground"
  std::string uid;                   // precondition
  std::string resourceVersion;       // precondition
  bool dryRun = false;
};

struct ObjectList {
  std::vector<ObjectPtr> items;
  int64_t resourceVersion = 0;
  std::string continueToken;
  std::optional<int64_t> remainingItemCount;
};

enum class EventType { kAdded, kModified, kDeleted, kBookmark, kError };

struct WatchEvent {
  EventType type;
  ObjectPtr object;  // of a bookmark: an empty object with the resourceVersion; of an error: null
  Status error;      // of kError (410 Expired: list again)
};

// Receives one watch. Calls come one at a time, on a thread of the transport: be quick and don't block.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void onEvent(const WatchEvent& event) = 0;
  // The watch is over: by the server's time limit (ok), or an error. No call comes after this one.
  virtual void onEnd(const Status& why) = 0;
};

// A running watch. Destroying it stops the watch; when the destructor returns no call is running or will come,
// unless it runs inside such a call.
class Watch {
 public:
  virtual ~Watch() = default;
};

enum class PatchType { kJson, kMerge, kStrategicMerge, kApply };

using ObjectCallback = std::function<void(Result<ObjectPtr>)>;
using ListCallback = std::function<void(Result<ObjectList>)>;
using StatusCallback = std::function<void(Status)>;

// Asynchronous verbs. A callback runs exactly once, on a thread of the transport or on the caller's before the call
// returns. Objects given are not changed; what comes back is the server's.
class Client {
 public:
  virtual ~Client() = default;

  virtual void get(const Target& t, ObjectCallback done) = 0;
  virtual void list(const Target& t, const ListOptions& options, ListCallback done) = 0;
  // Events after options.resourceVersion ("" or "0": starts with an ADDED event for each object). Bookmarks are asked for.
  virtual std::unique_ptr<Watch> watch(const Target& t, const ListOptions& options, std::shared_ptr<WatchSink> sink) = 0;
  virtual void create(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) = 0;
  virtual void update(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) = 0;
  virtual void patch(const Target& t, PatchType type, std::string body, const WriteOptions& options, ObjectCallback done) = 0;
  virtual void remove(const Target& t, const DeleteOptions& options, StatusCallback done) = 0;
  virtual void removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options, StatusCallback done) = 0;

  // The same verbs, waiting for the answer. Not on a thread of a transport.
  Result<ObjectPtr> get(const Target& t);
  Result<ObjectList> list(const Target& t, const ListOptions& options = {});
  Result<ObjectPtr> create(const Target& t, ObjectPtr object, const WriteOptions& options = {});
  Result<ObjectPtr> update(const Target& t, ObjectPtr object, const WriteOptions& options = {});
  Result<ObjectPtr> patch(const Target& t, PatchType type, std::string body, const WriteOptions& options = {});
  Status remove(const Target& t, const DeleteOptions& options = {});
  Status removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options = {});
};

}  // namespace km::client
