// What the scheduler's tests share: pods and nodes made in a line, and a Writer that keeps what it is told.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/config.h"
#include "scheduler/core.h"

namespace km::scheduler::testing {

using api::core_v1::Node;
using api::core_v1::Pod;

inline codec::Quantity quantity(std::string_view text) {
  return *codec::Quantity::parse(text);
}

struct NodeSpec {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  std::string cpu = "4", memory = "8Gi", pods = "110";
};

inline Node makeNode(const NodeSpec& s) {
  Node n;
  n.metadata.name = s.name;
  n.metadata.uid = "node-" + s.name;
  n.metadata.labels["kubernetes.io/hostname"] = s.name;
  for (const auto& [k, v] : s.labels) n.metadata.labels[k] = v;
  n.status.allocatable["cpu"] = quantity(s.cpu);
  n.status.allocatable["memory"] = quantity(s.memory);
  n.status.allocatable["pods"] = quantity(s.pods);
  return n;
}

// Request of cpu "" is none.
inline Pod makePod(std::string_view name, std::string_view cpu = "", std::string_view label = "") {
  Pod p;
  p.metadata.name = name;
  p.metadata.namespace_ = "ns";
  p.metadata.uid = std::string("uid-") + std::string(name);
  p.metadata.generation = 1;
  if (!label.empty()) p.metadata.labels["app"] = label;
  p.spec.schedulerName = "default-scheduler";
  auto& c = p.spec.containers.add();
  c.name = "c";
  c.image = "registry.example/app:1";
  if (!cpu.empty()) c.resources.requests["cpu"] = quantity(cpu);
  return p;
}

inline Pod placed(Pod p, std::string_view node) {
  p.spec.nodeName = node;
  return p;
}

inline codec::Box<api::meta_v1::LabelSelector> selects(std::string_view app) {
  codec::Box<api::meta_v1::LabelSelector> s;
  s.emplace().matchLabels["app"] = app;
  return s;
}

class Recording : public Writer {
 public:
  struct Failure {
    std::string pod, reason, message;
    std::optional<std::string> nominated;
  };
  struct Evicted {
    std::vector<std::string> victims;
    PodPtr preemptor;
    std::string node;
  };
  void bind(PodPtr pod, std::string node, std::vector<Plugin*> plugins) override {
    bound.emplace_back(std::move(pod), std::move(node));
    before.push_back(std::move(plugins));
  }
  void reportFailure(PodPtr pod, std::string_view reason, const std::string& message,
                     std::optional<std::string> n) override {
    failures.push_back({pod->metadata.name.str(), std::string(reason), message, std::move(n)});
  }
  void clearNomination(PodPtr pod) override { cleared.push_back(pod->metadata.name.str()); }
  void evict(std::vector<PodPtr> victims, PodPtr preemptor, std::string node) override {
    Evicted e{{}, std::move(preemptor), std::move(node)};
    for (const auto& v : victims) e.victims.push_back(v->metadata.name.str());
    evicted.push_back(std::move(e));
  }

  std::vector<std::pair<PodPtr, std::string>> bound;
  std::vector<std::vector<Plugin*>> before;
  std::vector<Failure> failures;
  std::vector<Evicted> evicted;
  std::vector<std::string> cleared;
};

class TestClock : public Clock {
 public:
  WallTime now() const override { return {1'700'000'000 + time.count() / 1'000'000'000, 0}; }
  Duration monotonic() const override { return time; }
  Duration time = std::chrono::seconds(1);
};

// A core with the default profile.
class World {
 public:
  explicit World(ProfileConfig config = {}, Listers listers = {}) : metrics(registry) {
    std::vector<Profile> profiles;
    profiles.push_back(makeProfile(config, listers));
    CoreOptions options;
    options.listers = listers;
    core = std::make_unique<Core>(std::move(profiles), std::vector<PluginArgs>{config.args}, writer, clock,
                                  metrics, options);
  }

  void node(const NodeSpec& s) { node(makeNode(s)); }
  void node(Node n) {
    auto& known = objects_["node/" + n.metadata.name.str()];
    auto before = std::exchange(known, api::Object::of(std::move(n)));
    core->onNode(before, known);
  }
  // Comes or changes.
  void pod(Pod p) {
    auto& known = objects_[p.metadata.uid.str()];
    auto before = std::exchange(known, api::Object::of(std::move(p)));
    core->onPod(before, known);
  }
  void gone(std::string_view name) {
    auto it = objects_.find("uid-" + std::string(name));
    core->onPod(it->second, nullptr);
    objects_.erase(it);
  }
  // Tries what is due; bindings succeed.
  void settle() {
    while (core->attempt()) {
      auto bound = std::exchange(writer.bound, {});
      for (auto& [p, node] : bound) {
        where[p->metadata.name.str()] = node;
        core->bound(p, node, {});
        Pod after(*p);
        pod(placed(std::move(after), node));
      }
    }
  }
  // The node that a pod gets, or why none.
  std::string outcome(Pod p) {
    std::string name = p.metadata.name.str();
    size_t failures = writer.failures.size();
    pod(std::move(p));
    settle();
    if (where.contains(name)) return where[name];
    return writer.failures.size() > failures ? writer.failures.back().message : "";
  }

  Recording writer;
  TestClock clock;
  MetricRegistry registry;
  Metrics metrics;
  std::unique_ptr<Core> core;
  std::map<std::string, std::string> where;

 private:
  std::map<std::string, api::ObjectPtr> objects_;
};

}  // namespace km::scheduler::testing
