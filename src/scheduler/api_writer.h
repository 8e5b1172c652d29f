// ApiWriter: the scheduler's writes to the API server. Many are under way at once; nobody waits for one.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/event_series.h"
#include "client/worker_pool.h"
#include "scheduler/core.h"

namespace km::scheduler {

class ApiWriter : public Writer {
 public:
  // Hands the core a call on its lane; dropped at the end. Any thread.
  using Tell = std::function<void(std::function<void(Core&)>)>;

  // Whose voice events have, by the pod's schedulerName. The recorders must outlive the writer.
  using Recorders = std::map<std::string, std::unique_ptr<client::SeriesRecorder>, std::less<>>;

  // Bindings are written on threads of the pool, beside the search for the next pod's node.
  ApiWriter(client::Client& client, client::WorkerPool& pool, const Recorders& recorders, Clock& clock,
            Tell tell)
      : client_(client), recorders_(recorders), clock_(clock), tell_(std::move(tell)), writes_(pool, 2) {}
  ~ApiWriter() override { stop(); }

  void bind(PodPtr pod, std::string node, std::vector<Plugin*> before) override;
  void reportFailure(PodPtr pod, std::string_view reason, const std::string& message,
                     std::optional<std::string> nominated) override;
  void clearNomination(PodPtr pod) override;
  void evict(std::vector<PodPtr> victims, PodPtr preemptor, std::string node) override;

  // Drops what is not begun, waits for the answers of all that is under way. Not on a transport's thread.
  void stop();

 private:
  using Pod = api::core_v1::Pod;
  struct Eviction;
  void preBind(PodPtr pod, std::string node, std::vector<Plugin*> before, size_t next);
  void writeBinding(PodPtr pod, std::string node);
  void answered(PodPtr pod, std::string node, Status s);
  void evictOne(std::shared_ptr<Eviction> e, const PodPtr& victim);
  void evicted(const std::shared_ptr<Eviction>& e, const PodPtr& victim, const Status& s);
  void patchStatus(const PodPtr& pod, std::string body, std::function<void(Status)> done);
  void event(const Pod& about, const Pod& scheduled, std::string_view type, std::string_view reason,
             std::string_view action, std::string_view note);
  void begin();
  void end();

  client::Client& client_;
  const Recorders& recorders_;
  Clock& clock_;
  const Tell tell_;
  std::mutex mutex_;
  std::condition_variable idle_;
  int underWay_ = 0;
  client::Lane writes_;
};

}  // namespace km::scheduler
