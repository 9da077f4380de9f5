#!/bin/sh
# Records ../kayenta.json anew: `sh record.sh KAYENTA`, a clone of github.com/spinnaker/kayenta. Only its classifier and
# the test that it asks are compiled, with Java 17, Maven and Scala 2.12, which Kayenta is written in.
set -eu
commit=a69573be9d8fededacf80817e4151a2c8df41276
kayenta=$1 here=$(cd "$(dirname "$0")" && pwd) work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C "$kayenta" archive "$commit" | tar -x -C "$work"
jars=""
for one in org/scala-lang:scala-compiler:2.12.20 org/scala-lang:scala-library:2.12.20 org/scala-lang:scala-reflect:2.12.20 \
  org/apache/commons:commons-math3:3.6.1 com/fasterxml/jackson/core:jackson-databind:2.17.2 \
  com/fasterxml/jackson/core:jackson-core:2.17.2 com/fasterxml/jackson/core:jackson-annotations:2.17.2; do
  mvn -q dependency:get -Dtransitive=false -Dartifact="$(echo "$one" | tr / .)"
  group=${one%%:*} rest=${one#*:}
  jars=$jars:${M2:-$HOME/.m2}/repository/$group/${rest%:*}/${rest#*:}/${rest%:*}-${rest#*:}.jar
done
judge=$work/kayenta-judge/src/main/scala/com/netflix/kayenta/judge test=$work/kayenta-mannwhitney/src/main
mkdir "$work/classes"
java=$(find "$test" -name '*.java')
# shellcheck disable=SC2046,SC2086
java -cp "$jars" scala.tools.nsc.Main -nowarn -usejavacp -d "$work/classes" "$here/Recorder.scala" $java \
  $(find "$test" -name '*.scala') "$judge/classifiers/metric/BaseMetricClassifier.scala" \
  "$judge/classifiers/metric/MannWhitneyClassifier.scala" "$judge/preprocessing/Transforms.scala" \
  "$judge/detectors/BaseOutlierDetector.scala" "$judge/utils/RandomUtils.scala" "$judge/stats"/*.scala
javac -cp "$jars" -d "$work/classes" $java
java -cp "$work/classes$jars" com.netflix.kayenta.judge.Recorder "$here/../kayenta.json" "$commit"
