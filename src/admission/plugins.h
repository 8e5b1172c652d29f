// The built-in plugins and which of them run.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "admission/plugin.h"
#include "base/clock.h"
#include "client/client.h"

namespace km::admission {

// How plugins see the cluster: from the caches, in memory.
struct PluginContext {
  std::function<api::ObjectPtr(std::string_view group, std::string_view resource, std::string_view ns,
                               std::string_view name)>
      get;
  std::function<std::shared_ptr<const std::vector<api::ObjectPtr>>(
      std::string_view group, std::string_view resource, std::string_view ns)>
      list;
  // Whether the user may do `verb` to that resource of any version.
  std::function<bool(const authn::UserInfo& user, std::string_view verb, std::string_view group, std::string_view resource,
                     std::string_view name)> authorize;
  // May a node ask for a service account's tokens for an audience that its pods do not name?
  std::function<bool(const authn::UserInfo& node, std::string_view ns, std::string_view audience,
                     std::string_view account)>
      mayUseAudience;
  // The server's own client, runs of work that may wait, and the time; for plugins that wait.
  std::function<client::Client&()> client;
  std::function<void(std::function<void()>)> offload;
  const Clock* clock = nullptr;
};

// Adds to the chain, in upstream's order, the plugins that are on by default or enabled, and not disabled.
void addPlugins(Chain& chain, const PluginContext& context, const std::vector<std::string>& enabled,
                const std::vector<std::string>& disabled);

std::unique_ptr<Plugin> makeNamespaceLifecycle(const PluginContext& context);
std::unique_ptr<Plugin> makeLimitRanger(const PluginContext& context);
std::unique_ptr<Plugin> makeServiceAccount(const PluginContext& context);
std::unique_ptr<Plugin> makeNodeRestriction(const PluginContext& context);
std::unique_ptr<Plugin> makeTaintNodesByCondition(const PluginContext& context);
std::unique_ptr<Plugin> makePriority(const PluginContext& context);
std::unique_ptr<Plugin> makeDefaultTolerationSeconds(const PluginContext& context);
std::unique_ptr<Plugin> makePodSecurity(const PluginContext& context);
std::unique_ptr<Plugin> makeRuntimeClass(const PluginContext& context);
std::unique_ptr<Plugin> makePodTopologyLabels(const PluginContext& context);
std::unique_ptr<Plugin> makeDefaultStorageClass(const PluginContext& context);
std::unique_ptr<Plugin> makeCertificateApproval(const PluginContext& context);
std::unique_ptr<Plugin> makeCertificateSigning(const PluginContext& context);
std::unique_ptr<Plugin> makeCertificateSubjectRestriction(const PluginContext& context);
std::unique_ptr<Plugin> makeDefaultIngressClass(const PluginContext& context);
std::unique_ptr<Plugin> makeStorageObjectInUseProtection(const PluginContext& context);
std::unique_ptr<Plugin> makePersistentVolumeClaimResize(const PluginContext& context);
std::unique_ptr<Plugin> makeResourceQuota(const PluginContext& context);

}  // namespace km::admission
