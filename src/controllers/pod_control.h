// Making and deleting pods for an owner, with the events that tell of it.
#pragma once

#include <functional>
#include <string_view>

#include "client/events.h"
#include "client/indexer.h"
#include "client/informer.h"
#include "controllers/objects.h"

namespace km::controllers {

// The index of pods by the uid of their controller; pods without one are under orphansOf(namespace).
inline constexpr std::string_view kPodControllerIndex = "podController";
std::string orphansOf(std::string_view ns);
void addPodControllerIndex(client::SharedInformer& pods);
// Those whose controller has the uid, and with `orphans` the namespace's without a controller.
std::vector<PodPtr> podsOf(const client::Lister<Pod>& pods, const ObjectMeta& owner, bool orphans);

// "NAME-", or "NAME" where that would be too long.
std::string podNamePrefix(std::string_view owner);
Pod podFromTemplate(const api::core_v1::PodTemplateSpec& tmpl, std::string_view ownerName, const OwnerReference& ref);

class PodControl {
 public:
  PodControl(client::Client& client, client::EventRecorder recorder) : client_(client), recorder_(std::move(recorder)) {}
  Status create(const Pod& pod, std::string_view ns, const api::core_v1::ObjectReference& owner) const;
  // 404 comes back as such, without an event.
  Status remove(std::string_view ns, std::string_view name, const api::core_v1::ObjectReference& owner) const;

 private:
  client::Client& client_;
  client::EventRecorder recorder_;
};

struct Batch {
  int successes = 0;
  Status error;  // the first
};
// Calls `one` up to `count` times: 1, 2, 4, ... in a row as long as all of a batch succeed, so that a refusal that
// would meet all is met once.
Batch slowStart(int count, const std::function<Status()>& one);

}  // namespace km::controllers
