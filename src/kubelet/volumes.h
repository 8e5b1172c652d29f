// Volumes of a pod: made before its containers start, kept current, removed with it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kubelet/container_config.h"

namespace km::kubelet {

// Tokens for the projected volumes of pods.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // Valid for a while yet; `renewAt` (monotonic) is lowered to when to ask again. Blocks.
  virtual Result<std::string> token(const v1::Pod& pod, const v1::ServiceAccountTokenProjection& what, Duration* renewAt) = 0;
};

struct VolumeContext {
  const Options* options = nullptr;
  DownwardContext downward;
  ObjectSource* objects = nullptr;
  TokenSource* tokens = nullptr;
};

// Makes or refreshes all volumes. `renewAt`: when (monotonic) to call again though nothing changed. Errors as the event
// FailedMount tells them.
Result<VolumePaths> setUpVolumes(const VolumeContext& context, Duration* renewAt);

// Unmounts and removes everything below the pod's directory.
Status tearDownPod(const Options& options, std::string_view uid);

// Names of the config maps and secrets that the pod uses anywhere.
struct References {
  std::vector<std::string> configMaps, secrets;
};
References referencesOf(const v1::Pod& pod);

}  // namespace km::kubelet
