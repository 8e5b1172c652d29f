// `km images import`: puts image archives into a node's container runtime, where no registry is at hand; `km images own` the images that km
// is made with: pause, and busybox where the machine has one.
#include <fmt/format.h>

#include "async/loop.h"
#include "base/flags.h"
#include "cri/images.h"
#include "km/commands.h"
#include "km/own_images.h"

namespace km {
namespace {

Status import(ServerCall& call, const std::string& socket, const std::vector<std::string>& paths) {
  async::LoopGroup loops(1, "loop");
  cri::ImageStore images(loops.at(0), socket);
  for (const std::string& path : paths) {
    auto names = images.importArchive(path);
    if (!names.ok()) return errors::failed(fmt::format("import {}: {}", path, names.status().message()));
    for (const std::string& name : *names) call.answer(name + "\n");
  }
  return {};
}

// The images that `km up` and `km agent` put into their own runtime.
Status putOwn(ServerCall& call, const std::string& socket) {
  async::LoopGroup loops(1, "loop");
  cri::ImageStore images(loops.at(0), socket);
  std::vector<cri::SimpleImage> all = {pauseImage()};
  if (auto busybox = busyboxImage()) all.push_back(std::move(*busybox));
  for (const cri::SimpleImage& image : all) {
    if (Status s = images.put(image); !s.ok()) return errors::failed(fmt::format("import {}: {}", image.name, s.message()));
    call.answer(image.name + "\n");
  }
  return {};
}

}  // namespace

int runImages(ServerCall& call) {
  std::string dataDir = "/var/lib/km", endpoint;
  FlagSet flags(std::string(call.server->name));
  flags.add(&dataDir, "data-dir", "The `directory` of the cluster, whose own containerd gets the images.");
  flags.add(&endpoint, "container-runtime-endpoint", "The `endpoint` of another containerd: unix:///run/containerd/containerd.sock.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  std::vector<std::string> args = flags.args();
  std::string socket = endpoint.empty() ? dataDir + "/containerd/containerd.sock" : endpoint;
  if (socket.starts_with("unix://")) socket.erase(0, 7);
  if (args.size() == 1 && args[0] == "own") return finish(call, putOwn(call, socket));
  if (args.size() < 2 || args[0] != "import") {
    return finish(call, errors::badRequest("say what to import: km images import ARCHIVE... (tar files of `docker save` or of an OCI layout), or km images own"));
  }
  args.erase(args.begin());
  return finish(call, import(call, socket, args));
}

}  // namespace km
