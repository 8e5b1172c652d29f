// ObjectCache: the config maps and secrets that this node's pods name, each watched by name while a pod uses it; and the
// tokens of their service accounts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "client/informer.h"
#include "kubelet/object_source.h"
#include "kubelet/volumes.h"

namespace km::kubelet {

class ObjectCache : public ObjectSource {
 public:
  // `changed`: called with the uid of each pod that uses an object which changed. On a worker.
  ObjectCache(client::Client& client, client::WorkerPool& pool, client::Timers& timers, std::function<void(const std::string& uid)> changed);
  ~ObjectCache() override;

  // The pod's names from now on; watches begin and end accordingly. Not from `changed`.
  void use(const v1::Pod& pod);
  void release(const std::string& uid);
  void stop();

  Result<std::shared_ptr<const v1::ConfigMap>> configMap(std::string_view ns, std::string_view name) override;
  Result<std::shared_ptr<const v1::Secret>> secret(std::string_view ns, std::string_view name) override;

 private:
  struct Entry;
  using Key = std::tuple<bool, std::string, std::string>;  // secret?, namespace, name
  void set(const std::string& uid, std::vector<Key> keys);
  Result<api::ObjectPtr> get(const Key& key);

  client::Client& client_;
  client::WorkerPool& pool_;
  client::Timers& timers_;
  std::function<void(const std::string&)> changed_;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Entry>> entries_;
  std::map<std::string, std::vector<Key>> byPod_;
};

class Tokens : public TokenSource {
 public:
  Tokens(client::Client& client, Clock& clock) : client_(client), clock_(clock) {}
  Result<std::string> token(const v1::Pod& pod, const v1::ServiceAccountTokenProjection& what, Duration* renewAt) override;
  void forget(std::string_view uid);

 private:
  struct Token {
    std::string text;
    Duration renewAt{}, endsAt{};  // monotonic
  };
  client::Client& client_;
  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Token, std::less<>> tokens_;  // "uid/account/audience/seconds"
};

}  // namespace km::kubelet
