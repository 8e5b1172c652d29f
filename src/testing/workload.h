// Workload: people who use the played cluster. Each makes, scales, rolls, pauses and deletes what it thinks of, a few namespaces together; and
// checks what it is answered.
#pragma once

#include <map>
#include <string>

#include "testing/cluster.h"
#include "testing/invariants.h"

namespace km::testing {

class Workload {
 public:
  Workload(Cluster& cluster, Invariants& invariants) : cluster_(cluster), invariants_(invariants) {}
  // `users` at work for so long, with pauses of up to `pause`. Blocks.
  void run(int users, Duration time, Duration pause);
  // Makes everything that is there something that can come to rest: good images, nothing paused, no more pods than there is room for.
  void settle();
  // Pods are not changed by their template: those that cannot run are put away, and those that are nobody's. Again while all comes to rest, as a set may
  // make another one before it hears that its template was mended.
  void clearPods();
  // Once all is at rest.
  void check();
  uint64_t acknowledged() const { return acknowledged_; }

 private:
  void step();
  void putNamespace(const std::string& ns);
  void deleteNamespace(const std::string& ns);
  void createDeployment(const std::string& ns);
  void createReplicaSet(const std::string& ns);
  void createService(const std::string& ns);
  void putQuota(const std::string& ns);
  void change(const codec::TypeInfo& type, const std::string& ns, const std::string& name, std::string body);
  void remove(const codec::TypeInfo& type, const std::string& ns, const std::string& name, client::DeleteOptions options);
  void rewrite(const std::string& ns, const std::string& name, int replicas);
  void killPod(const std::string& ns);
  void letPodGo(const std::string& ns);
  void count();
  void cordon();
  // What was answered is in the store.
  void acknowledge(const Result<api::ObjectPtr>& r);
  client::Client& api() { return cluster_.admin(); }

  Cluster& cluster_;
  Invariants& invariants_;
  int working_ = 0;
  uint64_t acknowledged_ = 0;
  int64_t counted_ = 0, perhapsCounted_ = 0;  // increments of a counter: acknowledged, and without an answer
};

}  // namespace km::testing
