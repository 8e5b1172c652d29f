// Images put into containerd without a registry: from archives, or made on the spot from files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace km::async {
class Loop;
}

namespace km::cri {

// An image of one layer.
struct SimpleImage {
  std::string name;  // "docker.io/library/busybox:latest"
  struct File {
    std::string path;     // "bin/busybox"
    std::string content;
    int mode = 0755;
    std::string linkTo;   // not empty: a symbolic link
  };
  std::vector<File> files;
  std::vector<std::string> entrypoint, command, env;
};

// Speaks to containerd's own API (namespace k8s.io) on the runtime's socket. Calls block.
class ImageStore {
 public:
  ImageStore(async::Loop& loop, std::string socket);
  ~ImageStore();
  Status put(const SimpleImage& image);
  // A tar file made by `docker save`, or of an OCI layout. Gives the names that it held.
  Result<std::vector<std::string>> importArchive(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace km::cri
