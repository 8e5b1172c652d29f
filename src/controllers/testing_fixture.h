// Runs controllers over a FakeClient for tests.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "api/types/apps_v1.h"
#include "client/testing/fake_client.h"
#include "controllers/controller_manager.h"
#include "controllers/objects.h"

namespace km::controllers {

struct ControllerTest : testing::Test {
  client::FakeClient client;
  client::WorkerPool pool{4};
  client::Timers timers;
  client::InformerFactory informers{client, pool, timers};
  Options options;
  std::unique_ptr<ControllerManager> manager;

  void run(std::vector<std::string> names) {
    manager = std::make_unique<ControllerManager>(client, informers, pool, timers, options);
    auto rows = selectControllers(names);
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    ASSERT_TRUE(manager->start(*rows).ok());
    ASSERT_TRUE(manager->waitForStart(std::chrono::seconds(5)));
  }
  void TearDown() override {
    if (manager) manager->stop();
    informers.stop();
  }

  // Waits until the condition holds.
  static bool eventually(const std::function<bool()>& condition) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  void makeReady(const Pod& pod) {
    for (int i = 0; i < 20; i++) {
      auto now = client.find<Pod>(pod.metadata.namespace_, pod.metadata.name);
      if (!now) return;
      Pod copy = *now;
      copy.status.phase = "Running";
      copy.status.conditions.clear();
      auto& c = copy.status.conditions.add();
      c.type = "Ready";
      c.status = "True";
      c.lastTransitionTime = codec::Time(1);
      if (updateStatus(client, std::move(copy)).ok()) return;
    }
  }
};

inline api::core_v1::PodTemplateSpec podTemplate(std::string_view image) {
  api::core_v1::PodTemplateSpec t;
  t.metadata.labels["app"] = "web";
  auto& c = t.spec.containers.add();
  c.name = "c";
  c.image = image;
  return t;
}

inline api::apps_v1::Deployment makeDeployment(int replicas, std::string_view image) {
  api::apps_v1::Deployment d;
  d.metadata.name = "web";
  d.metadata.namespace_ = "ns";
  d.spec.replicas = replicas;
  d.spec.selector.ensure().matchLabels["app"] = "web";
  d.spec.template_ = podTemplate(image);
  d.spec.strategy.type = "RollingUpdate";
  auto& r = d.spec.strategy.rollingUpdate.ensure();
  r.maxSurge = codec::IntOrString("25%");
  r.maxUnavailable = codec::IntOrString("25%");
  d.spec.progressDeadlineSeconds = 600;
  d.spec.revisionHistoryLimit = 2;
  return d;
}

}  // namespace km::controllers
